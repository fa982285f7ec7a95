/**
 * The codec beside llhttp, Node's parser: what the codec accepts, llhttp accepts with the same meaning. What llhttp
 * accepts and the codec refuses is the codec's strictness; the other way round would be somebody's smuggled request.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isWellFormedAuthority } from "../../../src/proxy/authority.ts";
import type { Field } from "../../../src/http1/head.ts";
import type { Http1Request } from "../../../src/http1/request_head.ts";
import { hostileRequests, hostileResponses } from "../../support/http1_arbitraries.ts";
import { latin1, type ReadMessage, readRequests, readResponses } from "../../support/http1_stream.ts";
import { type LlhttpMessage, METHODS, readWithLlhttp } from "../../support/llhttp.ts";

const RUNS = 10_000;

Deno.test("codec accepts no request that llhttp refuses or reads otherwise", () => {
  fc.assert(
    fc.property(hostileRequests.map(withoutTabs), (text) => {
      const { messages, refused, passed } = readRequests([latin1(text)]);
      for (const message of messages) {
        const { method, authority = "", minorVersion, fields } = message.head;
        if (!METHODS.has(method)) break; // llhttp has a list
        if (!isWellFormedAuthority(authority)) break; // refused by the proxy
        const theirs = readWithLlhttp("REQUEST", latin1(passedOn(message, passed)));
        if (refused !== undefined && message.end === undefined) break; // its body is refused
        assertEquals(theirs.error, undefined);
        assertEquals(
          { method: theirs.method, minorVersion: theirs.minorVersion, fields: withoutSpaces(theirs.fields) },
          { method, minorVersion, fields },
        );
        assertEquals(originForm(theirs), message.head.target);
        assertSameBody(message, theirs);
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("codec accepts no response that llhttp refuses or reads otherwise", () => {
  fc.assert(
    fc.property(hostileResponses.map(withoutTabs), (text) => {
      const { messages, refused, passed } = readResponses([latin1(text)], "GET");
      for (const message of messages) {
        const { status, reason, fields } = message.head;
        // llhttp reads a body there, RFC 9112 §6.3 none; the proxy passes neither field on.
        if (status < 200 && fields.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name))) break;
        // Said more than once, it goes on once.
        if (fields.filter(([name]) => /^content-length$/i.test(name)).length > 1) break;
        if (fields.some(([name, value]) => /^content-length$/i.test(name) && value.includes(","))) break;
        const theirs = readWithLlhttp("RESPONSE", latin1(passedOn(message, passed)));
        if (refused !== undefined && message.end === undefined) break; // its body is refused
        assertEquals(theirs.error, undefined);
        assertEquals(
          { status: theirs.status, reason: theirs.reason, fields: withoutSpaces(theirs.fields) },
          { status, reason, fields },
        );
        assertSameBody(message, theirs);
      }
    }),
    { numRuns: RUNS },
  );
});

/** A message, and what follows it, as they go on: what the codec reads kindly is mended by then. */
function passedOn({ head, bodyAt }: ReadMessage<Pick<Http1Request, "text">>, passed: string): string {
  return head.text + passed.slice(bodyAt);
}

function assertSameBody(
  message: ReadMessage<Pick<Http1Request, "keepAlive" | "text">>,
  theirs: LlhttpMessage,
) {
  const end = message.end === undefined ? undefined : message.end - message.bodyAt + message.head.text.length;
  assertEquals({ end: theirs.end, body: theirs.body }, { end, body: message.body });
  if (end !== undefined && message.head.keepAlive) assert(theirs.keepAlive, "the connection does not go on");
}

/** llhttp takes no tab behind a length, though RFC 9110 §5.5 does. */
function withoutTabs(text: string): string {
  return text.replaceAll("\t", " ");
}

/** llhttp leaves the spaces behind a value. */
function withoutSpaces(fields: readonly Field[]): Field[] {
  return fields.map(([name, value]) => [name, value.replace(/[ \t]+$/, "")]);
}

/** llhttp leaves an absolute target as it is. */
function originForm({ method, target }: LlhttpMessage): string {
  const path = target.replace(/^https?:\/\/[^/?]*/i, "");
  if (path === target || path.startsWith("/")) return path;
  return path === "" && method === "OPTIONS" ? "*" : `/${path}`;
}
