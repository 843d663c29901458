#!/usr/bin/env bash
# Retention, metric filters, alarms and saved queries of the log group. Needs the AWS CLI with an account, and jq.
# Usage: install.sh REGION ACCOUNT   (alarms go to the topics ossature-critical and ossature-warning of SNS, which must be there)
set -euo pipefail
cd "$(dirname "$0")"
region=$1 account=$2
group=$(jq -r .logGroupName retention.json)
aws logs create-log-group --region "$region" --log-group-name "$group" 2>/dev/null || echo "$group is there already"
aws logs put-retention-policy --region "$region" --cli-input-json file://retention.json
each() { jq -c '.[]' "$1" | sed "s/REGION:ACCOUNT/$region:$account/g"; }
each metric-filters.json | while read -r one; do aws logs put-metric-filter --region "$region" --cli-input-json "$one"; done
each queries.json | while read -r one; do aws logs put-query-definition --region "$region" --cli-input-json "$one"; done
each alarms.json | while read -r one; do aws cloudwatch put-metric-alarm --region "$region" --cli-input-json "$one"; done
