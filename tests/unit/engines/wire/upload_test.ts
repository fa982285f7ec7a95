import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import type { BackendConnection } from "../../../../src/engines/wire/backend/backend_connection.ts";
import { LargeBuffers } from "../../../../src/engines/wire/buffers.ts";
import { configSchema } from "../../../../src/config/schema.ts";
import { Holdings } from "../../../../src/guards/holdings.ts";
import { Memory } from "../../../../src/memory/memory.ts";
import { forwardingRules } from "../../../../src/proxy/rules.ts";
import type { WireContext } from "../../../../src/engines/wire/context.ts";
import { Inlet } from "../../../../src/engines/wire/inlet.ts";
import { Timed, TimeoutQueue } from "../../../../src/engines/wire/timeouts.ts";
import { Upload } from "../../../../src/engines/wire/upload.ts";
import type { BodyFraming } from "../../../../src/http1/body.ts";
import { FakeLink } from "../../../support/fake_link.ts";
import { concat } from "../../../support/raw_client.ts";
import { Pace } from "../../../../src/net/pace.ts";

class Clock extends Timed {
  timedOut(): void {}
}

/** An upload from a client that the test plays to a backend that takes what `takes` says. */
function uploadOf(framing: BodyFraming, takes: (bytes: Uint8Array) => Promise<boolean>, maxBodyBytes = Infinity) {
  const link = new FakeLink();
  const inlet = new Inlet(link, { inletChanged: () => {} }, Buffer.alloc(64));
  const events: string[] = [];
  // Of a context and a connection only this much is used.
  const context = {
    maxHeaderBytes: 1024,
    buffers: new LargeBuffers(),
    pace: new Pace(undefined),
  } as unknown as WireContext;
  const { limits } = forwardingRules(configSchema.parse({}), {
    limits: Memory.allocate().limits,
    holdings: new Holdings(),
    pools: new Map(),
  });
  const connection = { send: takes } as BackendConnection;
  const upload = new Upload(framing, inlet, context, {
    watcher: undefined,
    limits: { ...limits, maxBodyBytes, dropsRequestTrailer: () => false },
    idle: new TimeoutQueue(0),
    listener: {
      uploadEnded: () => void events.push("ended"),
      uploadFailed: (fault, detail) => void events.push(`${fault} ${detail}`.trim()),
      uploadStuck: () => void events.push("stuck"),
    },
    clientClock: new Clock(),
  });
  const deliver = async (text: string) => {
    inlet.read();
    assertEquals(link.deliver(new TextEncoder().encode(text)), text.length);
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  return { upload, inlet, link, events, connection, deliver };
}

Deno.test("Upload does not take what a failed backend was being sent for more of the body", async () => {
  // A backend that broke off in a part of the body had it counted twice: the connection stayed open with the
  // body taken for complete, and its rest was read as the client's next request.
  const { upload, inlet, connection, deliver, link } = uploadOf(
    { kind: "length", bytes: 40 },
    () => Promise.resolve(false),
  );
  await deliver("x".repeat(20));
  await upload.run(connection);
  assertEquals([upload.skipReady(), upload.bytesIn, inlet.unread], [false, 20, 0]);
  await deliver(`${"x".repeat(20)}GET /next`);
  assertEquals([upload.skipReady(), upload.bytesIn], [true, 40]);
  assertEquals(new TextDecoder().decode(inlet.bytes.subarray(inlet.start, inlet.end)), "GET /next");
  link.close();
});

Deno.test("Upload sends the body and no byte more, however it comes", async () => {
  const bodies: [BodyFraming, string][] = [
    [{ kind: "length", bytes: 30 }, "x".repeat(30)],
    [{ kind: "chunked" }, "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"],
  ];
  for (const [framing, body] of bodies) {
    for (let first = 0; first <= body.length; first += 3) {
      const parts: Uint8Array[] = [];
      const { upload, inlet, connection, deliver, events, link } = uploadOf(framing, (bytes) => {
        parts.push(bytes.slice());
        return Promise.resolve(true);
      });
      if (first > 0) await deliver(body.slice(0, first));
      const out = Buffer.alloc(100);
      const headEnd = 10;
      parts.push(Uint8Array.from(out.subarray(headEnd, upload.takeReady(out, headEnd))));
      const running = upload.done ? Promise.resolve() : upload.run(connection);
      if (first < body.length) await deliver(`${body.slice(first)}NEXT`);
      await running;
      assertEquals(new TextDecoder().decode(concat(parts)), body);
      assertEquals([upload.done, events.includes("ended"), inlet.unread], [
        true,
        first < body.length,
        first < body.length ? 4 : 0,
      ]);
      link.close();
    }
  }
});

Deno.test("Upload tells what is wrong with a body, and sends nothing of the part that is", async () => {
  const faults: [BodyFraming, string, string][] = [
    [{ kind: "chunked" }, "zz\r\n", "malformed a chunk size is malformed"],
    [{ kind: "length", bytes: 30 }, "x".repeat(30), "too_large 20"],
    [{ kind: "chunked" }, "1e\r\n" + "x".repeat(30), "too_large 20"],
  ];
  for (const [framing, body, event] of faults) {
    const parts: Uint8Array[] = [];
    const { upload, connection, deliver, events, link } = uploadOf(framing, (bytes) => {
      parts.push(bytes);
      return Promise.resolve(true);
    }, 20);
    const running = upload.run(connection);
    await deliver(body);
    await running;
    assertEquals([events, parts.length], [[event], 0]);
    link.close();
  }
  const gone = uploadOf({ kind: "length", bytes: 5 }, () => Promise.resolve(true));
  const running = gone.upload.run(gone.connection);
  gone.link.end();
  await running;
  assertEquals(gone.events, ["client_gone the client left"]);
});
