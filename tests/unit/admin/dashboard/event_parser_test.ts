// The page's own reader of server-sent events: `EventSource` can't send a token.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventParser } from "../../../../src/admin/dashboard/event_parser.js";

function parse(...pieces: string[]) {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

Deno.test("EventParser reads type, data and id, and keeps the id for events without one", () => {
  assertEquals(parse("id: x-1\nevent: stats\ndata: {}\n\ndata: a\ndata:b\n\n"), [
    { type: "stats", data: "{}", lastEventId: "x-1" },
    { type: "message", data: "a\nb", lastEventId: "x-1" },
  ]);
});

Deno.test("EventParser leaves out comments, unknown fields, ids with NUL and events without data", () => {
  assertEquals(parse(": hello\nretry: 5\nid: a\0b\nevent: nothing\n\ncolour: red\ndata\n\n"), [
    { type: "message", data: "", lastEventId: "" },
  ]);
});

Deno.test("EventParser gives nothing of an event that has not come to its end", () => {
  assertEquals(parse("data: 1\n\ndata: 2\n"), [{ type: "message", data: "1", lastEventId: "" }]);
});

Deno.test("EventParser takes a byte order mark at the very start only", () => {
  assertEquals(parse("\uFEFFdata: 1\n\n", "\uFEFFdata: 2\n\n").map(({ data }) => data), ["1"]);
});

Deno.test("EventParser gives the same however a stream is cut, with any line ending", () => {
  const event = fc.record({ type: fc.constantFrom("", "stats", "reload"), data: fc.constantFrom("x", '{"a": 1}', "") });
  const stream = fc.array(event, { maxLength: 6 });
  const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 12 });
  fc.assert(fc.property(stream, fc.constantFrom("\n", "\r", "\r\n"), cuts, (events, ending, cuts) => {
    const lines = events.flatMap(({ type, data }, index) => [`id: ${index}`, `event: ${type}`, `data: ${data}`, ""]);
    const text = lines.map((line) => line + ending).join("");
    const places = [0, ...cuts.filter((place) => place < text.length).sort((a, b) => a - b), text.length];
    const pieces = places.slice(1).map((place, index) => text.slice(places[index], place));
    // A stream that ends in CR may go on with LF; either way its last event has come.
    const expected = events.map(({ type, data }, index) => ({
      type: type || "message",
      data,
      lastEventId: String(index),
    }));
    assertEquals(parse(...pieces), expected);
  }));
});
