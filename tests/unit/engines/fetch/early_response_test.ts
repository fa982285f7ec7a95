import { assert, assertEquals, assertRejects } from "@std/assert";
import { relayBesideUpload } from "../../../../src/engines/fetch/early_response.ts";
import { ChunkReader } from "../../../../src/engines/fetch/chunk_reader.ts";
import { RequestBody } from "../../../../src/engines/fetch/request_body.ts";
import { fed } from "../../../support/fed_stream.ts";
import { settle } from "../../../support/wait.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function requestBody(source: ReadableStream<Uint8Array<ArrayBuffer>>): RequestBody {
  return new RequestBody(new ChunkReader(source), undefined, {
    bodyEnded: () => {},
  });
}

function outgoing(body: RequestBody): ReadableStream<Uint8Array<ArrayBuffer>> {
  const stream = body.outgoing(Infinity);
  assert(stream instanceof ReadableStream);
  return stream;
}

Deno.test("relayBesideUpload() cuts the response only once no read of the upload is under way", async () => {
  // Cut before, the runtime left the client's socket open for ever.
  const client = fed();
  const upload = requestBody(client.stream);
  const backend = fed();
  const relayed = relayBesideUpload(backend.stream, upload).getReader();
  const toBackend = outgoing(upload).getReader();
  const sent = toBackend.read();
  sent.catch(() => {});
  backend.push(bytes("half"));
  assertEquals((await relayed.read()).value, bytes("half"));
  backend.fail();
  let cut = false;
  const end = relayed.read().catch(() => cut = true);
  await settle();
  assertEquals([cut, client.cancelled], [false, false]);
  client.push(bytes("more"));
  await end;
  assertEquals([cut, client.cancelled], [true, true]);
  await assertRejects(() => sent, Error, "given up");
  await assertRejects(() => toBackend.read(), Error, "given up");
});

Deno.test("relayBesideUpload() gives the upload up when the response has ended or its client has left", async () => {
  for (const how of ["end", "leave"]) {
    const client = fed();
    const upload = requestBody(client.stream);
    const backend = fed();
    const relayed = relayBesideUpload(backend.stream, upload).getReader();
    const sent = outgoing(upload).getReader().read();
    sent.catch(() => {});
    if (how === "end") {
      backend.end();
      assertEquals((await relayed.read()).done, true);
    } else {
      await relayed.cancel();
      assertEquals(backend.cancelled, true);
    }
    assertEquals(client.cancelled, true);
    await assertRejects(() => sent, Error, "given up");
  }
});
