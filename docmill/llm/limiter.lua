-- The shared limits of one model of an account. One script, so that every step of it is atomic. docs/limiter.md says
-- where its constants come from, and what always holds.
--
-- Whether a call may go now is said by a bucket that mirrors the provider's: a call takes one request and its
-- estimate of tokens when it goes, and gets back what it did not use when it is answered. The bucket holds BURST_S
-- seconds, less than a provider's own second, so that messages may come a little late. It is filled at PACE of
-- the limit.
--
-- When later ones may go is a row. A place in it is a sum of costs, in seconds of the limit, and not a time: the
-- row moves on with those who go, as fast as it is seen to move. Who comes before his turn is told how long it
-- is still; who comes late finds that it is his. Where the bucket is full, nobody came, and anybody may go.
--
-- KEYS: the model's state, the asker's place, tenants by the end of their places, open calls of the model, open
-- calls of the tenant (both by the time at which they are given up for lost), whose the model's open calls are: their
-- process and tenant. A call has one slot, whoever asks for it: what has it is the one that asked last.
-- ARGV: now, in seconds, or nothing for the server's own clock; what is to be done; what it is done with.

local PACE = 0.99
local BURST_S = 0.35
local EAGER = 1.06       -- the row is taken to move so much faster than it did: else it never would
local EARLY_S = 1.2         -- who has waited long comes so many seconds early, and waits at the door
local HORIZON_S = 30       -- seconds; no place lies farther ahead
local NEXT_S = 1           -- seconds of the row whose places may go in any order
local PUNCTUAL_S = 0.5     -- who waits less than this at the door comes on time
local LONGEST_S = 60       -- who must wait longer than this is held
local KEPT_S = 120         -- so long a place outlasts its time
local FORGOTTEN_S = 3600
local LEARNING = 0.05    -- weight of one call in what is known of all
local SEEN_S = 8         -- the row's speed is that of so many seconds

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end

local FIELDS = {'at', 'requests', 'tokens', 'until', 'rpm', 'tpm', 'left', 'row', 'moved', 'moved_in', 'moved_at',
                'idle', 'window', 'head_until', 'mean', 'ratio', 'probing'}
local s = {}
for place, value in ipairs(redis.call('HMGET', KEYS[1], unpack(FIELDS))) do s[FIELDS[place]] = tonumber(value or '') end
local head = redis.call('HGET', KEYS[1], 'head') or ''
for name, value in pairs({left = 0, row = 0, moved = SEEN_S, moved_in = SEEN_S, moved_at = now, idle = 0, window = 1,
                          head_until = 0, mean = 0, ratio = 1, ['until'] = 0, probing = 0}) do
  s[name] = s[name] or value
end

local function save()
  local changes = {'head', head}
  for name, value in pairs(s) do
    changes[#changes + 1] = name
    changes[#changes + 1] = string.format('%.6f', value)
  end
  redis.call('HSET', KEYS[1], unpack(changes))
  redis.call('EXPIRE', KEYS[1], FORGOTTEN_S)
end

local function rate(limit) return (limit or 0) * PACE / 60 end
local function known() return rate(s.rpm) > 0 or rate(s.tpm) > 0 end
local function speed() return math.max(0.5, math.min(4, EAGER * s.moved / s.moved_in)) end

-- A bucket that was lost or never was begins empty: a pause, and no flood.
local function refill()
  local passed = s.at and math.max(0, now - s.at) or 0
  local over = passed
  for name, limit in pairs({requests = s.rpm or 0, tokens = s.tpm or 0}) do
    if rate(limit) > 0 then
      local level = (s[name] or 0) + passed * rate(limit)
      over = math.min(over, math.max(0, level / rate(limit) - BURST_S))
      s[name] = math.min(level, BURST_S * rate(limit))
    end
  end
  if known() then s.idle = math.min(5, s.idle + over) end
  s.at = math.max(s.at or now, now)
end

local function full()
  return (rate(s.rpm) == 0 or s.requests >= 0.999 * BURST_S * rate(s.rpm))
    and (rate(s.tpm) == 0 or s.tokens >= 0.999 * BURST_S * rate(s.tpm))
end

-- The level from which an amount may be taken: a provider has a second's worth at least, and we lag behind it by
-- a second less BURST_S, so that only large amounts must wait for more than nothing.
local function needed(amount, limit, least)
  local provider = math.max(least, limit / 60)
  return math.max(0, math.min(amount, provider) - provider + BURST_S * rate(limit)) * 0.999
end

local function needed_tokens(tokens)
  -- Where the provider has told of more, its bucket holds more than a second.
  return s.left - BURST_S * rate(s.tpm) >= tokens and 0 or needed(tokens, s.tpm, 0)
end

-- How long until the bucket has enough; answers are expected to give back what makes the row fast.
local function missing_s(tokens)
  local wait = s['until'] - now
  if rate(s.rpm) > 0 then wait = math.max(wait, (needed(1, s.rpm, 1) - s.requests) / rate(s.rpm)) end
  if rate(s.tpm) > 0 then
    wait = math.max(wait, (needed_tokens(tokens) - s.tokens) / rate(s.tpm) * math.min(1, s.ratio))
  end
  return wait
end

local function cost_s(tokens)
  local by_requests = rate(s.rpm) > 0 and 1 / rate(s.rpm) or 0
  return rate(s.tpm) > 0 and math.max(by_requests, tokens * s.ratio / rate(s.tpm)) or by_requests
end

local function open_calls(key)
  local given_up = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, 1000)
  if #given_up > 0 then
    redis.call('ZREM', key, unpack(given_up))
    redis.call('HDEL', KEYS[6], unpack(given_up))
  end
  return redis.call('ZCARD', key)
end

-- The row has come to where the last one's place ended that went; how fast it moves counts only while somebody stands in it.
local function move_to(place)
  local last = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
  local passed = math.min(SEEN_S, now - s.moved_at)
  local kept = math.exp(-passed / SEEN_S)
  local step = math.max(0, place - s.row)
  if last and tonumber(last) > s.row + NEXT_S then
    s.moved, s.moved_in = s.moved * kept + step, s.moved_in * kept + passed
  end
  s.moved_at, s.row = now, s.row + step
end

local function go(name, tokens, place, lost_at)
  local owner, tenant = ARGV[3], ARGV[5]
  if rate(s.rpm) > 0 then s.requests = s.requests - 1 end
  if rate(s.tpm) > 0 then s.tokens, s.left = s.tokens - tokens, s.left - tokens end
  for _, key in ipairs({KEYS[4], KEYS[5]}) do
    redis.call('ZADD', key, lost_at, name)
    redis.call('EXPIRE', key, FORGOTTEN_S)
  end
  redis.call('HSET', KEYS[6], name, owner .. '\n' .. tenant)
  redis.call('EXPIRE', KEYS[6], FORGOTTEN_S)
  redis.call('DEL', KEYS[2])
  if place then move_to(place + cost_s(tokens)) end
  if head == name or head == '!' .. name then head, s.head_until = '', 0 end
  save()
  return {'0', 1}
end

local function come_back(wait, place)
  wait = math.max(0.02, wait)
  redis.call('SET', KEYS[2], place or '', 'EX', math.ceil(wait) + KEPT_S)
  save()
  return {string.format('%.6f', wait), 1}
end

local function hold(wait)
  redis.call('DEL', KEYS[2])
  save()
  return {string.format('%.6f', wait), 0}
end

-- Goes, or is told how long it is until his turn. ``place`` is nil for who comes before all others.
local function in_turn(name, tokens, place, lost_at)
  local mark = place and name or '!' .. name
  local behind = head ~= '' and head ~= mark and s.head_until > now and (place or head:sub(1, 1) == '!')
  local wait = missing_s(tokens)
  local ahead = place and math.max(0, place - s.row) or 0
  if wait <= 0 and not behind and (ahead <= NEXT_S or full()) then return go(name, tokens, place, lost_at) end
  if behind then wait = math.max(wait, s.head_until - PUNCTUAL_S + 0.02 - now) end
  local large = rate(s.tpm) > 0 and needed_tokens(tokens) > 0
  if (not place or (large and ahead <= NEXT_S)) and not behind and wait <= PUNCTUAL_S then
    head, s.head_until = mark, now + wait + PUNCTUAL_S
  end
  wait = math.max(0, wait, math.max(0, wait) + ahead / speed() - EARLY_S, math.min(ahead, EARLY_S) / 2)
  if wait > LONGEST_S then return hold(wait) end
  return come_back(wait, place)
end

-- A tenant's places lie as far apart as there are tenants in the row: they take turns.
local function place_for(tenant, tokens)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', s.row)
  local last = tonumber(redis.call('ZSCORE', KEYS[3], tenant) or '')
  local tenants = redis.call('ZCARD', KEYS[3]) + (last and 0 or 1)
  local place = math.max(s.row, last or 0)
  if place - s.row > HORIZON_S * speed() then return nil, (place - s.row) / speed() end
  redis.call('ZADD', KEYS[3], string.format('%.6f', place + cost_s(tokens) * tenants), tenant)
  redis.call('EXPIRE', KEYS[3], FORGOTTEN_S)
  return place
end

-- One more open call for each answer, until there is a no; whoever learns the limits ends it.
local function by_window(name, tokens, lost_at)
  local wait = s['until'] - now
  if wait > LONGEST_S then return hold(wait) end
  if wait > 0 then return come_back(wait) end
  if open_calls(KEYS[4]) < s.window then return go(name, tokens, nil, lost_at) end
  return hold(0.2)
end

local function ask(name, tenant, tokens, configured, remembered, most_open, first, lost_at)
  for at, limit in ipairs({'rpm', 'tpm'}) do
    if configured[at] > 0 then s[limit] = configured[at]
    elseif not s[limit] and remembered[at] > 0 then s[limit] = remembered[at] end
  end
  refill()
  if most_open > 0 and open_calls(KEYS[5]) >= most_open then return hold(1) end
  -- After a long wait one call tries whether it is over.
  if s.probing == 1 and s['until'] <= now and open_calls(KEYS[4]) >= 1 then return hold(1) end
  if not known() then return by_window(name, tokens, lost_at) end
  s.mean = s.mean == 0 and cost_s(tokens) or s.mean + LEARNING * (cost_s(tokens) - s.mean)
  if first then return in_turn(name, tokens, nil, lost_at) end
  local place = tonumber(redis.call('GET', KEYS[2]) or '')
  if not place and full() and missing_s(tokens) <= 0 and s.head_until <= now then
    return go(name, tokens, nil, lost_at)
  end
  local wait
  if not place then place, wait = place_for(tenant, tokens) end
  if not place then return hold(wait) end
  return in_turn(name, tokens, place, lost_at)
end

local function answered(name, reserved, used, unsent, limits, left)
  for _, key in ipairs({KEYS[4], KEYS[5]}) do redis.call('ZREM', key, name) end
  redis.call('HDEL', KEYS[6], name)
  refill()
  if rate(s.tpm) > 0 then s.tokens = math.min(BURST_S * rate(s.tpm), s.tokens + reserved - used) end
  if unsent == 0 and reserved > 0 then s.ratio = s.ratio + LEARNING * (used / reserved - s.ratio) end
  if rate(s.rpm) > 0 then s.requests = math.min(BURST_S * rate(s.rpm), s.requests + unsent) end
  if unsent == 0 then s.window, s.probing = math.min(100000, s.window + 1), 0 end
  for limit, found in pairs({rpm = limits[1], tpm = limits[2]}) do
    if found > 0 then s[limit] = found end
  end
  for level, found in pairs({requests = left[1], tokens = left[2]}) do
    if found >= 0 and s[level] then s[level] = math.min(s[level], found) end
  end
  s.left = math.max(0, left[2])
  save()
  return 1
end

-- Nobody goes before the wait is over, and then nobody has saved anything up.
local function told(wait)
  refill()
  s['until'] = math.max(s['until'], now + wait)
  if wait > LONGEST_S then s.probing = 1 end
  s.at = s['until']
  for _, name in ipairs({'requests', 'tokens'}) do
    if s[name] then s[name] = math.min(0, s[name]) end
  end
  s.left = 0
  s.window = math.max(1, math.floor(open_calls(KEYS[4]) / 2))
  save()
  return 1
end

local function released()
  s['until'], s.at, s.probing = 0, now, 0
  save()
  return 1
end

-- Calls whose processes are gone are open no more. What they took of the bucket stays taken, as the provider may have
-- counted it, and no answer was heard that would open one more.
local function lost()
  local gone = {}
  for place = 3, #ARGV do gone[ARGV[place]] = true end
  local open = redis.call('HGETALL', KEYS[6])
  for at = 1, #open, 2 do
    local owner, tenant = open[at + 1]:match('^([^\n]*)\n(.*)$')
    if gone[owner] then
      redis.call('ZREM', KEYS[4], open[at])
      redis.call('ZREM', KEYS[4] .. ':' .. tenant, open[at])
      redis.call('HDEL', KEYS[6], open[at])
    end
  end
  return 1
end

-- How many calls more would get a place, or could go now.
local function room()
  refill()
  if s['until'] - now > HORIZON_S then return 0 end
  if s.probing == 1 then return math.max(0, 1 - open_calls(KEYS[4])) end
  if not known() then return math.max(0, s.window - open_calls(KEYS[4])) end
  local last = tonumber(redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or '') or s.row
  local free = math.max(0, HORIZON_S * speed() - math.max(0, last - s.row)) + s.idle
  s.idle = 0
  save()
  return math.ceil(free / math.max(s.mean, 0.001))
end

local function numbers(from, to)
  local found = {}
  for place = from, to do found[#found + 1] = tonumber(ARGV[place]) end
  return found
end

if ARGV[2] == 'ask' then
  local n = numbers(6, 13)
  return ask(ARGV[4], ARGV[5], n[1], {n[2], n[3]}, {n[4], n[5]}, n[6], n[7] == 1, now + n[8])
elseif ARGV[2] == 'answered' then
  local n = numbers(4, 10)
  return answered(ARGV[3], n[1], n[2], n[3], {n[4], n[5]}, {n[6], n[7]})
elseif ARGV[2] == 'told' then
  return told(tonumber(ARGV[3]))
elseif ARGV[2] == 'lost' then
  return lost()
elseif ARGV[2] == 'released' then
  return released()
elseif ARGV[2] == 'held' then
  return string.format('%.6f', math.max(0, s['until'] - now))
end
return room()
