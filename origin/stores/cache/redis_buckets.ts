import type { Redis } from "ioredis";
import type { Buckets, Pour } from "./bucket.ts";
import type { SharedRedis } from "./redis.ts";

const PREFIX = "mxcdn:bucket:";

/**
 * `bucket.ts` in Lua, so that looking and pouring are one step, by the server's own clock: processes whose clocks differ
 * agree. ARGV[1] is "1" to pour whatever the buckets hold; then for each key full, brim, drain per millisecond, amount.
 * Answers the number of the key that has to wait longest (0: all fit) and for how many milliseconds. A bucket lives until it
 * has run empty.
 */
const POUR = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local forced = ARGV[1] == '1'
local held, worst, wait = {}, 0, 0
for i, key in ipairs(KEYS) do
  local full, brim, drain, amount = unpack(ARGV, 4 * i - 2, 4 * i + 1)
  local last = redis.call('GET', key)
  held[i] = 0
  if last then
    local was, at = string.match(last, '(%S+) (%S+)')
    held[i] = was - math.max(0, now - at) * drain
    if held[i] <= 1e-6 then held[i] = 0 end
  end
  local most = math.max(0, math.min(full, brim - amount))
  if not forced and held[i] > most + 1e-6 and (held[i] - most) / drain > wait then
    worst, wait = i, (held[i] - most) / drain
  end
end
for i, key in ipairs(KEYS) do
  local drain, amount = ARGV[4 * i], ARGV[4 * i + 1]
  local holds = held[i]
  if worst == 0 then holds = holds + amount end
  if holds > 0 then
    redis.call('SET', key, string.format('%.17g %.3f', holds, now), 'PX', math.ceil(holds / drain) + 1000)
  else
    redis.call('DEL', key)
  end
end
return {worst, string.format('%.3f', wait)}
`;

/** Buckets that all processes share. While the server of a key is away, this process counts for itself in `insurance`. */
export function makeRedisBuckets(redis: SharedRedis, insurance: Buckets): Buckets {
  return {
    async pour(home, pours) {
      const answer = await run(home, false, pours);
      if (!answer) return await insurance.pour(home, pours);
      const [worst, wait] = answer;
      return worst === 0 ? { fits: true } : { fits: false, index: worst - 1, waitMs: Number(wait) };
    },
    async correct(home, pour) {
      if (!(await run(home, true, [pour]))) await insurance.correct(home, pour);
    },
  };

  async function run(home: string, forced: boolean, pours: readonly Pour[]): Promise<[number, string] | undefined> {
    const keys = pours.map(({ key }) => PREFIX + key);
    const numbers = pours.flatMap(({ size: { full, brim, drainPerMs }, amount }) => [full, brim, drainPerMs, amount]);
    return await redis.ask(home, (client) => pourScript(client, keys, [forced ? 1 : 0, ...numbers]));
  }
}

type Script = (keys: number, ...values: (string | number)[]) => Promise<[number, string]>;

/** Sent whole to each connection once, then named by its hash. */
function pourScript(client: Redis & { pour?: Script }, keys: readonly string[], values: readonly number[]) {
  if (!client.pour) client.defineCommand("pour", { lua: POUR });
  return (client.pour as Script)(keys.length, ...keys, ...values);
}
