import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { RandomHex } from "../../../src/proxy/ids.ts";
import { startTrace, traceIdOf } from "../../../src/proxy/trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

Deno.test("traceIdOf() reads version 00, and later ones with whatever they append", () => {
  for (const traceparent of [`00-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-00`, `00-${TRACE}-${PARENT}-ff`]) {
    assertEquals(traceIdOf(traceparent), TRACE, traceparent);
  }
  for (const later of [`cc-${TRACE}-${PARENT}-01`, `01-${TRACE}-${PARENT}-01-what-the-future-brings`]) {
    assertEquals(traceIdOf(later), TRACE, later);
  }
});

Deno.test("traceIdOf() takes nothing malformed", () => {
  const good = `00-${TRACE}-${PARENT}-01`;
  for (
    const traceparent of [
      "",
      "00",
      good.slice(0, -1),
      `${good}-00`, // version 00 has nothing behind it
      `${good}, ${good}`,
      ` ${good}`,
      good.toUpperCase(),
      `ff-${TRACE}-${PARENT}-01`,
      `0-${TRACE}-${PARENT}-001`,
      `01-${TRACE}-${PARENT}-01x`,
      `00-${"0".repeat(32)}-${PARENT}-01`,
      `00-${TRACE}-${"0".repeat(16)}-01`,
      `00-${TRACE}${PARENT}--01`,
      `00_${TRACE}-${PARENT}-01`,
      `00-${TRACE}_${PARENT}-01`,
      `00-${TRACE}-${PARENT}_01`,
      `00-${TRACE.replace("4", "g")}-${PARENT}-01`,
      `00-${TRACE}-${PARENT.replace("f", "/")}-01`,
      `00-${TRACE}-${PARENT}-0g`,
    ]
  ) {
    assertEquals(traceIdOf(traceparent), undefined, traceparent);
  }
});

Deno.test("traceIdOf() says what the grammar of version 00 says, of any text near it", () => {
  const grammar = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
  const near = fc.tuple(fc.nat(54), fc.constantFrom(..."0aAfFg-_ ,é")).map(([at, character]) => {
    const text = `00-${TRACE}-${PARENT}-01`;
    return text.slice(0, at) + character + text.slice(at + 1);
  }).filter((text) => text.startsWith("00"));
  fc.assert(fc.property(near, (text) => assertEquals(traceIdOf(text), grammar.exec(text)?.[1], text)));
});

Deno.test("startTrace() makes what traceIdOf() reads", () => {
  const traceparent = startTrace(TRACE, new RandomHex());
  assertEquals(traceIdOf(traceparent), TRACE);
  assertMatch(traceparent, /-01$/);
});
