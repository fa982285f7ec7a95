import { assertEquals } from "@std/assert";
import type { Result } from "../../../scripts/bench/results.ts";
import { inWords, markdownTable, textTables } from "../../../scripts/bench/table.ts";

const result: Result = {
  name: "small",
  title: "Small answers",
  about: "GET.",
  columns: [
    { key: "cpu", title: "CPU µs", digits: 1, range: true },
    { key: "p99", title: "p99 ms", digits: 2 },
    { key: "errors", title: "socket errors", digits: 0, trouble: true },
  ],
  rows: [
    {
      name: "go",
      title: "Go",
      own: false,
      version: "1.19.8",
      samples: [{ cpu: 1163.2, p99: 1, errors: 0 }, { cpu: 150, p99: 3, errors: 2 }, { cpu: 170, p99: 2, errors: 1 }],
    },
    {
      name: "wire",
      title: "roundhouse wire",
      own: true,
      version: "0.1.0",
      samples: [{ cpu: 33, p99: NaN, errors: 0 }],
    },
  ],
};

Deno.test("textTables() aligns the columns, the lowest row on top, troubles summed below", () => {
  assertEquals(
    textTables([result]),
    `Small answers (small)
proxy            version  CPU µs        min–max  p99 ms
roundhouse wire  0.1.0      33.0      33.0–33.0       –
Go               1.19.8    170.0  150.0–1,163.2    2.00
Go: 3 socket errors`,
  );
});

Deno.test("markdownTable() has the same cells", () => {
  assertEquals(
    markdownTable(result),
    `| proxy | version | CPU µs | min–max | p99 ms |
| --- | --- | --: | --: | --: |
| roundhouse wire | 0.1.0 | 33.0 | 33.0–33.0 | – |
| Go | 1.19.8 | 170.0 | 150.0–1,163.2 | 2.00 |

Go: 3 socket errors`,
  );
});

Deno.test("textTables() shows ratios to HAProxy where it took part, and strategies without a version", () => {
  const columns = [{ key: "cpu", title: "CPU µs", digits: 0, relative: true }];
  const row = { own: false, version: "1" };
  const rows = [
    { ...row, name: "haproxy", title: "HAProxy", samples: [{ cpu: 30 }] },
    { ...row, name: "caddy", title: "Caddy", samples: [{ cpu: 120 }, { cpu: 96 }] },
  ];
  const compared = { name: "n", title: "T", about: "", columns, rows };
  assertEquals(
    textTables([compared, { ...compared, rows: rows.slice(1), rowsAre: "strategy" }]),
    `T (n)
proxy    version  CPU µs  × HAProxy
HAProxy  1            30       1.00
Caddy    1           108       3.60

T (n)
strategy  CPU µs
Caddy        108`,
  );
});

Deno.test("inWords() is a line of figures, and trouble where there is any", () => {
  const words = result.rows.map((row) => inWords(result.columns, row));
  assertEquals(words, ["CPU µs 170.0, p99 ms 2.00, 3 socket errors", "CPU µs 33.0, p99 ms –"]);
});
