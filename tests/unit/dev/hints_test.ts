// `deno task dev --routes` did not say that a terminal can show what the dashboard shows.

import { assertStringIncludes } from "@std/assert";
import { hints } from "../../../scripts/dev/hints.ts";

Deno.test("the hints of both kinds name the dashboard, and `top` with the port of the admin API", () => {
  const running = { proxy: "localhost:1", admin: "localhost:2", ports: [3, 4, 5], secondPid: 6 };
  for (const withRoutes of [false, true]) {
    const said = hints(running, withRoutes);
    assertStringIncludes(said, "http://localhost:2 ");
    assertStringIncludes(said, "deno run -P main.ts top --admin localhost:2 ");
  }
});
