"""The Lua scripts that run on the server, so that several writes happen as one.

Times are the server's own (`TIME`), in milliseconds. EVALSHA names a script by the SHA-1 of its
text.
"""

from __future__ import annotations

# Unbans that the server remembers, and for how long. A node that was away for longer publishes its
# own bans again, also those that were unbanned meanwhile.
MAX_LIFTS = 100_000
LIFTS_KEPT_MS = 7 * 86_400_000

# KEYS: epoch, nodes, bans; in a fleet with a key, also the sealed times of the bans. ARGV: node, new
# epoch, milliseconds after which a silent node is gone. Returns the fleet's epoch, the server's time
# and the number of nodes.
HELLO = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'NX')
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])
if KEYS[4] then
  for _ = 1, 20 do
    local ended = redis.call('ZRANGE', KEYS[3], '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
    if #ended == 0 then
      break
    end
    redis.call('HDEL', KEYS[4], unpack(ended))
    redis.call('ZREM', KEYS[3], unpack(ended))
  end
else
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
end
return {redis.call('GET', KEYS[1]), now, redis.call('ZCARD', KEYS[2])}
"""

# KEYS: bans, lifts, events; in a fleet with a key, also the sealed times of the bans. ARGV: node,
# lines ("": nothing is added to the stream), entries kept, number of bans; then end, member, sealed
# times and a former member of each ban; then the ban's member, its former member, the lift's member
# and the time of each lift. Returns the position of the new entry.
PUBLISH = """
local at = 5
for _ = 1, ARGV[4] do
  local member = ARGV[at + 1]
  if KEYS[4] then
    local before = redis.call('ZMSCORE', KEYS[1], member)[1]
    if not before or tonumber(ARGV[at]) >= tonumber(before) then
      redis.call('ZADD', KEYS[1], ARGV[at], member)
      redis.call('HSET', KEYS[4], member, ARGV[at + 2])
    end
    redis.call('ZREM', KEYS[1], ARGV[at + 3])
  else
    redis.call('ZADD', KEYS[1], 'GT', ARGV[at], member)
  end
  at = at + 4
end
while at <= #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[at], ARGV[at + 1])
  if KEYS[4] then
    redis.call('HDEL', KEYS[4], ARGV[at])
  end
  redis.call('ZADD', KEYS[2], 'GT', ARGV[at + 3], ARGV[at + 2])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[at + 3] - %d)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -%d)
  at = at + 4
end
if ARGV[2] == '' then
  return ''
end
return redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'n', ARGV[1], 't', ARGV[2])
""" % (LIFTS_KEPT_MS, MAX_LIFTS + 1)  # noqa: UP031 - Lua's own braces

# KEYS: one window each. ARGV: 1 in a fleet with a key; and for each window: maxretry, findtime,
# number of failures, then name and age of each. Returns the places of the windows that are full, and
# in a fleet with a key the names of their failures. Without a key they begin again with nothing;
# with one, the node does so when it has found the seals of the names right.
COUNT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local full, names, at = {}, {}, 2
for i, key in ipairs(KEYS) do
  local maxretry, findtime, n = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  for _ = 1, n do
    redis.call('ZADD', key, 'NX', now - ARGV[at + 1], ARGV[at])
    at = at + 2
  end
  redis.call('ZREMRANGEBYRANK', key, 0, -2 * maxretry - 1)
  redis.call('PEXPIRE', key, findtime)
  if redis.call('ZCARD', key) >= maxretry then
    local found = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for last = 2 * maxretry, #found, 2 do
      if found[last] - found[last - 2 * (maxretry - 1)] <= findtime then
        full[#full + 1] = i
        if ARGV[1] == '1' then
          local kept = {}
          for each = 1, #found, 2 do
            if #found[each] < 256 and not string.find(found[each], '\\n', 1, true) then
              kept[#kept + 1] = found[each]
            end
          end
          names[#names + 1] = table.concat(kept, '\\n')
        else
          redis.call('DEL', key)
        end
        break
      end
    end
  end
end
return {full, names}
"""

# KEYS: bans, their sealed times. ARGV: members. Returns the score and the times of each; texts that
# we would never write are left out, as they could be of any length.
STORED = """
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
local times = redis.call('HMGET', KEYS[2], unpack(ARGV))
for at = 1, #ARGV do
  if times[at] and #times[at] > 255 then
    times[at] = ''
  end
end
return {scores, times}
"""

# KEYS: a sorted set; for bans of a fleet with a key, also their sealed times. ARGV: cursor, count.
# Returns the next cursor; and members, scores and times as one text: three times as fast to read as
# 10,000 values. What we would never write is left out, since it could break that text.
LIST = """
local found = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local flat, members = {}, {}
for at = 1, #found[2], 2 do
  local member = found[2][at]
  if #member < 256 and not string.find(member, '\\n', 1, true) then
    members[#members + 1] = member
    flat[#flat + 1] = member
    flat[#flat + 1] = found[2][at + 1]
    flat[#flat + 1] = ''
  end
end
if KEYS[2] then
  for first = 1, #members, 1000 do
    local times = redis.call('HMGET', KEYS[2], unpack(members, first, math.min(first + 999, #members)))
    for at, text in ipairs(times) do
      if text and #text < 256 and not string.find(text, '\\n', 1, true) then
        flat[3 * (first + at - 1)] = text
      end
    end
  end
end
return {found[1], table.concat(flat, '\\n')}
"""
