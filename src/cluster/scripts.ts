/**
 * What the store does in one step, in Lua. Scripts see and change the document while nobody else does. A script that
 * writes gets the latest time, by the store's clock, at which it may still run: a store that was stopped goes on with
 * the commands that it has received, long after their sender has given up.
 */

/** The fields of the document that say something of it as a whole. See `document.ts` for what they mean. */
const HEAD = `
local function head()
  return redis.call('HGET', KEYS[1], 'version') or '', redis.call('HGET', KEYS[1], 'line') or ''
end
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`;

/**
 * Arguments: the version and the line that the reader knows, the digest that it knows, the most fields, the most bytes.
 * Replies with the digest of the document and with all fields and texts in one text, with nothing if there is no
 * document, or with `same`. A list of thousands of texts would hold up the reader for too long.
 */
export const READ = `${HEAD}
local version, line = head()
if version ~= '' and version == ARGV[1] and line == ARGV[2] then return {'same'} end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
  return redis.error_reply('TOOLARGE the document has too many entries')
end
local all = redis.call('HGETALL', KEYS[1])
if #all == 0 then return {} end
local text = table.concat(all, '\\0')
if #text > tonumber(ARGV[5]) then return redis.error_reply('TOOLARGE the document has too many bytes') end
local digest = redis.sha1hex(text)
if digest == ARGV[3] then return {'same'} end
return {digest, text}
`;

/**
 * Arguments: the deadline, the line that the writer knows, the line for a new document, the mark of this change, the
 * channel, the most entries, the number of fields to leave out, and those with the first word of their text. Then three
 * for each entry: its field, the first word of the text that it must have now, and its new text without the version.
 */
export const RECORD = `${HEAD}
if now() > tonumber(ARGV[1]) then return {'late'} end
local version, line = head()
if line ~= ARGV[2] then return {'moved'} end
local first = 8 + 2 * tonumber(ARGV[7])
local function word(field)
  local text = redis.call('HGET', KEYS[1], field)
  return text and string.match(text, '^%S+') or ''
end
for i = first, #ARGV, 3 do
  if word(ARGV[i]) ~= ARGV[i + 1] then return {'conflict'} end
end
for i = 8, first - 1, 2 do
  if word(ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
local fresh = 0
for i = first, #ARGV, 3 do if ARGV[i + 1] == '' then fresh = fresh + 1 end end
if redis.call('HLEN', KEYS[1]) + fresh > tonumber(ARGV[6]) + 3 then return {'full'} end
local counter = tonumber(string.match(version, '^%d+') or '0') + 1
local revision = string.format('%.0f', counter) .. '-' .. ARGV[4]
if line == '' then redis.call('HSET', KEYS[1], 'line', ARGV[3], 'floor', '0') end
redis.call('HSET', KEYS[1], 'version', revision)
for i = first, #ARGV, 3 do redis.call('HSET', KEYS[1], ARGV[i], revision .. ' ' .. ARGV[i + 2]) end
redis.call('PUBLISH', ARGV[5], revision)
return {'done', revision}
`;

/** Arguments: the deadline, the version and the line that the document must have, the channel; then fields and texts. */
export const REPLACE = `${HEAD}
if now() > tonumber(ARGV[1]) then return {'late'} end
local version, line = head()
if version ~= ARGV[2] or line ~= ARGV[3] then return {'moved'} end
redis.call('DEL', KEYS[1])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PUBLISH', ARGV[4], 'replaced')
return {'done'}
`;

/**
 * Keys: the document, what replicas say of themselves, when each was heard of, what each thinks of the backends.
 * Arguments: this replica, what it says, how long others stay without a word, the most replicas, and what it thinks of
 * the backends if that has changed, else nothing. Replies with the time, the version and the line of the document, and
 * three for each replica: its name, when it was heard of, what it said.
 */
export const HEARTBEAT = `${HEAD}
local time = now()
local stays = tonumber(ARGV[3])
local function forget(names)
  for _, name in ipairs(names) do
    redis.call('HDEL', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
    redis.call('HDEL', KEYS[4], name)
  end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', time - stays)))
forget(redis.call('ZRANGEBYSCORE', KEYS[3], string.format('%.0f', time + stays), '+inf'))
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], string.format('%.0f', time), ARGV[1])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[4], ARGV[1], ARGV[5]) end
forget(redis.call('ZREVRANGE', KEYS[3], ARGV[4], -1))
for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], 2 * stays) end
local version, line = head()
local out = {string.format('%.0f', time), version, line}
local seen = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
for i = 1, #seen, 2 do
  local said = redis.call('HGET', KEYS[2], seen[i]) or ''
  if #said > 1024 then said = '' end
  out[#out + 1] = seen[i]
  out[#out + 1] = seen[i + 1]
  out[#out + 1] = said
end
return out
`;

/** What a replica thinks of the backends. Argument: the replica, the most bytes. */
export const VIEW = `
if redis.call('HSTRLEN', KEYS[1], ARGV[1]) > tonumber(ARGV[2]) then return '' end
return redis.call('HGET', KEYS[1], ARGV[1]) or ''
`;

/** This replica leaves. Keys as for `HEARTBEAT` without the document. Argument: the replica. */
export const LEAVE = `
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return {}
`;

/**
 * Replicas tell what they let through of rate limits, and hear how much all have spent. Keys: the seed of the limits,
 * when the allowance of each field is whole again, when each was changed; all times are microseconds of the store's
 * clock. Arguments: the seed, the time from which on changes are not known, how many changes to tell, how many fields
 * are kept, for how many milliseconds; then for each field three: its name, how many microseconds it has spent, how many
 * its burst is. Replies with the seed, the time from which on changes were not told, and for each field that was
 * changed two: its name, and after how many microseconds its allowance is whole again.
 */
export const SETTLE = `
local seed = redis.call('GET', KEYS[1])
if not seed then
  seed = ARGV[1]
  redis.call('SET', KEYS[1], seed)
end
if seed ~= ARGV[1] then return {seed} end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local function whole(number) return string.format('%.0f', number) end
local function forget(fields)
  for _, field in ipairs(fields) do
    redis.call('ZREM', KEYS[2], field)
    redis.call('ZREM', KEYS[3], field)
  end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now), 'LIMIT', 0, 1000))
for i = 6, #ARGV, 3 do
  local burst = tonumber(ARGV[i + 2])
  local at = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[i]) or '0')
  if at < now or at > now + burst + 10000000 then at = now end
  at = math.min(at + tonumber(ARGV[i + 1]), now + burst)
  redis.call('ZADD', KEYS[2], whole(at), ARGV[i])
  redis.call('ZADD', KEYS[3], whole(now), ARGV[i])
end
local over = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[4])
if over > 0 then forget(redis.call('ZRANGE', KEYS[3], 0, math.min(over, 2000) - 1)) end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
local since = tonumber(ARGV[2])
if since > now then since = 0 end
local changed = redis.call('ZRANGEBYSCORE', KEYS[3], whole(since), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local next = now
if #changed == 2 * tonumber(ARGV[3]) then next = tonumber(changed[#changed]) end
local out = {seed, whole(next)}
for i = 1, #changed, 2 do
  local at = tonumber(redis.call('ZSCORE', KEYS[2], changed[i]) or '0')
  out[#out + 1] = changed[i]
  out[#out + 1] = whole(math.max(0, at - now))
end
return out
`;

/** The seed of the limits, which is the one of the first replica that asks. Argument: that of this replica. */
export const SEED = `
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return {redis.call('GET', KEYS[1])}
`;
