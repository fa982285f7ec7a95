import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parseWrk, wrkScript } from "../../../scripts/bench/wrk.ts";

const counts = {
  requests: 90_123,
  durationMicros: 5_003_210,
  p50Micros: 1_234,
  p99Micros: 9_876,
  p999Micros: 20_000,
  badAnswers: 0,
  socketErrors: 3,
};

Deno.test("parseWrk() reads the counts behind the text for people", () => {
  const text = `Running 5s test @ http://127.0.0.1:8080/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.01ms    1.93ms  28.50ms   87.69%
  90123 requests in 5.00s, 21.31MB read
Requests/sec:  18013.48
Transfer/sec:      4.26MB

${JSON.stringify(counts)}
`;
  assertEquals(parseWrk(text), counts);
});

Deno.test("parseWrk() says what wrk said instead of figures", () => {
  assertThrows(() => parseWrk("unable to connect to 127.0.0.1:1 Connection refused\n"), Error, "Connection refused");
  assertThrows(() => parseWrk(""), Error, "wrk gave no figures");
});

Deno.test("wrkScript() sets method, body and headers once, and quotes them", () => {
  const script = wrkScript({ url: "http://127.0.0.1/", bodyBytes: 65_536, headers: [["X-A", 'say "hi" \\']] });
  assertMatch(script, /^wrk\.headers\["X-A"\] = "say \\"hi\\" \\\\"$/m);
  assertMatch(script, /^wrk\.method = "POST"$/m);
  assertMatch(script, /^wrk\.body = string\.rep\("x", 65536\)$/m);
  assertEquals(/wrk\.(method|body|headers)/.test(wrkScript({ url: "http://127.0.0.1/" })), false);
});
