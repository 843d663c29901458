SELECT
    client AS "client",
    code AS "code",
    description AS "description",
    date_from AS "date_from",
    date_to AS "date_to"
FROM ${departments_view}
ORDER BY client, code
