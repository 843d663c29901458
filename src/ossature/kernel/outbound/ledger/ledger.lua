-- The ledger in Redis. A script runs alone, so what it reads is true until it ends: see `redis.py` for what is sent.
-- KEYS[1]: prefix of all keys. ARGV: command, its argument (msgpack), the marker that the caller knows or '', the
-- time in microseconds or '' for the server's.
--   PREFIX:marker            set when the ledger is first used; a caller who misses it knows that data were lost
--   PREFIX:head:NAME         hash: next, held
--   PREFIX:cell:NAME|STARTS  hash: ends, kind, cap, used, reserved, outside, archived
--   PREFIX:of:NAME           sorted set of the cells' starts (windows that roll)
--   PREFIX:cells, :rolling   sorted sets of NAME|STARTS by their ends: of fixed windows, of those that roll
--   PREFIX:attempt:ID        hash: about, takes, state, outcome, estimated, finished
--   PREFIX:open, :ended      sorted sets of attempt ids, by expiry and by end
local P = KEYS[1]
local command, argument, known, given = ARGV[1], cmsgpack.unpack(ARGV[2]), ARGV[3], ARGV[4]

local function whole(n) return string.format('%.0f', n) end
local function call(...) return redis.call(...) end

local now
if given ~= '' then
  now = tonumber(given)
else
  local time = call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local marker = call('GET', P .. ':marker')
if not marker then
  if known ~= '' then return redis.error_reply('LEDGERLOST data of the ledger were lost') end
  marker = argument.fresh
  call('SET', P .. ':marker', marker)
elseif known ~= '' and known ~= marker then
  return redis.error_reply('LEDGERLOST data of the ledger were replaced')
end

local function cell_key(name, starts) return P .. ':cell:' .. name .. '|' .. whole(starts) end

local function numbers(key, ...)
  local values = call('HMGET', key, ...)
  for i = 1, #values do values[i] = tonumber(values[i] or 0) or 0 end
  return values
end

local function taken(name, starts)
  local n = numbers(cell_key(name, starts), 'used', 'reserved', 'outside', 'ends')
  return n[1] + n[2] + n[3], n[4], n
end

-- What a window counts now: its present cell, when that ends, and all cells.
local function counted(w)
  if w.kind == 'fixed' then return w.starts, w.ends, { w.starts } end
  local present, ends, first = now, now + w.length + 1, now - w.length
  if w.kind == 'sliding' then
    present = now - now % w.step
    ends = present + 11 * w.step
    first = present - 10 * w.step
  end
  local found = call('ZRANGEBYSCORE', P .. ':of:' .. w.name, whole(first), '+inf')
  for i = 1, #found do found[i] = tonumber(found[i]) end
  return present, ends, found
end

local function total(w)
  local _, _, cells = counted(w)
  local sum = 0
  for _, starts in ipairs(cells) do sum = sum + taken(w.name, starts) end
  return sum
end

local function add(w, field, units)
  local present, ends = counted(w)
  local key = cell_key(w.name, present)
  if call('HSETNX', key, 'ends', whole(ends)) == 1 then
    call('HSET', key, 'kind', w.kind)
    local set = w.kind == 'fixed' and ':cells' or ':rolling'
    call('ZADD', P .. set, whole(ends), w.name .. '|' .. whole(present))
    if w.kind ~= 'fixed' then call('ZADD', P .. ':of:' .. w.name, whole(present), whole(present)) end
  end
  call('HSET', key, 'cap', whole(w.limit))
  call('HINCRBY', key, field, whole(units))
  return present
end

local function next_slot(w)
  local at = numbers(P .. ':head:' .. w.name, 'next')[1]
  if at > now + w.length + w.patience then at = now end
  return math.max(now, at)
end

-- Why a window has no room: {index, 'held' or 'slot', until} or {index, 'count', {ends, units, ...}}.
local function refusal(index, take, slot)
  local w = take.window
  local held = numbers(P .. ':head:' .. w.name, 'held')[1]
  if held > now then return { index, 'held', held } end
  if w.kind == 'pace' then
    if take.units > w.limit then return { index, 'count', {} } end
    if slot - now > w.wait then return { index, 'slot', slot } end
    return nil
  end
  if total(w) + take.units <= w.limit then return nil end
  local leaving = {}
  local _, _, cells = counted(w)
  for _, starts in ipairs(cells) do
    local units, ends = taken(w.name, starts)
    leaving[#leaving + 1] = ends
    leaving[#leaving + 1] = units
  end
  return { index, 'count', leaving }
end

local function reserve(ask)
  local key = P .. ':attempt:' .. ask.id
  if call('EXISTS', key) == 1 then return { 'exists' } end
  local slot = now
  for _, take in ipairs(ask.takes) do
    if take.window.kind == 'pace' then slot = math.max(slot, next_slot(take.window)) end
  end
  local refused = {}
  for index, take in ipairs(ask.takes) do
    local why = refusal(index - 1, take, slot)
    if why then refused[#refused + 1] = why end
  end
  if #refused > 0 then return { 'refused', refused } end
  local takes = {}
  for _, take in ipairs(ask.takes) do
    local w = take.window
    if w.kind == 'pace' then
      call('HSET', P .. ':head:' .. w.name, 'next', whole(slot + take.units * math.ceil(w.length / w.limit)))
    else
      takes[#takes + 1] = { w.name, add(w, 'reserved', take.units), take.unit, take.units, 0 }
    end
  end
  call('HSET', key, 'about', ask.about, 'takes', cmsgpack.pack(takes), 'state', 'open', 'created', whole(now),
    'expires', whole(ask.expires))
  call('ZADD', P .. ':open', whole(ask.expires), ask.id)
  return { 'reserved', slot - now }
end

local function finish(ask)
  local key = P .. ':attempt:' .. ask.id
  local stored = call('HMGET', key, 'state', 'takes')
  local state = stored[1]
  local late = state == 'reaped' and ask.state == 'settled'
  if state ~= 'open' and not late then return { 'ended', false, {} } end
  local takes, excess = cmsgpack.unpack(stored[2]), {}
  for _, take in ipairs(takes) do
    local units, charged = take[4], take[5]
    local actual = math.max(0, ask.units[take[3]] or units)
    if ask.state == 'released' then actual = 0 end
    actual = math.max(actual, charged)
    local cell = cell_key(take[1], take[2])
    if call('EXISTS', cell) == 1 then
      if not late then call('HINCRBY', cell, 'reserved', whole(-units)) end
      call('HINCRBY', cell, 'used', whole(actual - charged))
    end
    local beyond = actual - math.max(units, charged)
    if beyond > 0 then excess[#excess + 1] = { take[3], beyond } end
    take[5] = actual
  end
  if not late then state = ask.state end
  call('HSET', key, 'takes', cmsgpack.pack(takes), 'state', state, 'outcome', ask.outcome, 'estimated',
    ask.estimated and '1' or '0', 'finished', whole(now))
  call('ZREM', P .. ':open', ask.id)
  call('ZADD', P .. ':ended', whole(now), ask.id)
  return { 'ended', not late, excess }
end

local function clamp(ask)
  local w = ask.window
  if w.kind ~= 'pace' then
    local surplus = w.limit - total(w) - math.max(0, ask.remaining)
    if surplus > 0 then add(w, 'outside', surplus) end
  end
  if ask.remaining <= 0 and ask.reset then
    local held = math.min(ask.reset, now + w.length)
    local key = P .. ':head:' .. w.name
    if held > numbers(key, 'held')[1] then call('HSET', key, 'held', whole(held)) end
  end
  return { 'clamped' }
end

local commands = {}

-- Answers {'stale'} when the plan was made for another time: the caller makes it again for the one it is told.
function commands.group()
  if now < argument.from or now >= argument.til then return { 'stale' } end
  local answers = {}
  for i, ask in ipairs(argument.asks) do
    if ask.what == 'reserve' then answers[i] = reserve(ask)
    elseif ask.what == 'end' then answers[i] = finish(ask)
    else answers[i] = clamp(ask) end
  end
  return answers
end

function commands.states()
  if now < argument.from or now >= argument.til then return { 'stale' } end
  local answers = {}
  for i, w in ipairs(argument.windows) do
    local head = numbers(P .. ':head:' .. w.name, 'next', 'held')
    local found = {}
    if w.kind ~= 'pace' then
      local _, _, cells = counted(w)
      for _, starts in ipairs(cells) do
        local n = numbers(cell_key(w.name, starts), 'ends', 'cap', 'used', 'reserved', 'outside')
        if n[1] > 0 then found[#found + 1] = { starts, n[1], n[2], n[3], n[4], n[5] } end
      end
    end
    answers[i] = { head[1], head[2], found }
  end
  return answers
end

function commands.expired()
  return call('ZRANGEBYSCORE', P .. ':open', '-inf', '(' .. whole(now), 'LIMIT', 0, argument.limit)
end

-- Every counter that is not the sum of its attempts; with `mend` it is set to it.
function commands.verify()
  local used, reserved = {}, {}
  for _, set in ipairs({ ':open', ':ended' }) do
    for _, id in ipairs(call('ZRANGE', P .. set, 0, -1)) do
      local stored = call('HMGET', P .. ':attempt:' .. id, 'state', 'takes')
      for _, take in ipairs(cmsgpack.unpack(stored[2])) do
        local cell = take[1] .. '|' .. whole(take[2])
        used[cell] = (used[cell] or 0) + take[5]
        if stored[1] == 'open' then reserved[cell] = (reserved[cell] or 0) + take[4] end
      end
    end
  end
  local found = {}
  for _, set in ipairs({ ':cells', ':rolling' }) do
    for _, cell in ipairs(call('ZRANGE', P .. set, 0, -1)) do
      local key = P .. ':cell:' .. cell
      local n = numbers(key, 'used', 'reserved', 'archived')
      local u, r = (used[cell] or 0) + n[3], reserved[cell] or 0
      if n[1] ~= u or n[2] ~= r then
        found[#found + 1] = { cell, n[1], u, n[2], r }
        if argument.mend then call('HSET', key, 'used', whole(u), 'reserved', whole(r)) end
      end
    end
  end
  return found
end

local function close(set, age)
  local closed = 0
  for _, cell in ipairs(call('ZRANGEBYSCORE', P .. set, '-inf', '(' .. whole(now - age), 'LIMIT', 0, argument.most)) do
    local key = P .. ':cell:' .. cell
    if numbers(key, 'reserved')[1] == 0 then
      local name, starts = string.match(cell, '^(.*)|(%d+)$')
      call('DEL', key)
      call('ZREM', P .. set, cell)
      call('ZREM', P .. ':of:' .. name, starts)
      closed = closed + 1
    end
  end
  return closed
end

function commands.prune()
  local gone = call('ZRANGEBYSCORE', P .. ':ended', '-inf', '(' .. whole(now - argument.attempts), 'LIMIT', 0, argument.most)
  for _, id in ipairs(gone) do
    local key = P .. ':attempt:' .. id
    for _, take in ipairs(cmsgpack.unpack(call('HGET', key, 'takes'))) do
      local cell = cell_key(take[1], take[2])
      if call('EXISTS', cell) == 1 then call('HINCRBY', cell, 'archived', whole(take[5])) end
    end
    call('DEL', key)
    call('ZREM', P .. ':ended', id)
  end
  return { #gone, close(':cells', argument.windows) + close(':rolling', argument.attempts) }
end

return cmsgpack.pack({ now, marker, commands[command]() })
