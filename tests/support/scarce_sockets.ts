/**
 * A program for few open files: says what becomes of sockets that are to be handed on while some descriptors are left,
 * none, one, two and so on. Writes a line of JSON for each number.
 */

import { HeldSocket, SharedPort } from "../../src/net/shared_port.ts";
import { settlesWithin } from "../../src/settles_within.ts";

const MOST_SPARE = 4;

/** Opens files until only so many descriptors are left. */
function leaveOnly(spare: number): Disposable {
  const files: Deno.FsFile[] = [];
  try {
    while (true) files.push(Deno.openSync("/dev/null"));
  } catch {
    for (let count = 0; count < spare; count++) files.pop()?.close();
  }
  return { [Symbol.dispose]: () => files.forEach((file) => file.close()) };
}

async function accepts(port: SharedPort): Promise<boolean> {
  const client = await Deno.connect({ hostname: "127.0.0.1", port: port.addr.port }).catch(() => undefined);
  if (client === undefined) return false;
  const accepting = port.accept().then((connection) => connection.close());
  const accepted = await settlesWithin(accepting, 5000);
  client.close();
  return accepted;
}

for (let spare = 0; spare <= MOST_SPARE; spare++) {
  const port = await SharedPort.bind({ hostname: "127.0.0.1", port: 0 });
  const other = await SharedPort.bind({ hostname: "127.0.0.1", port: 0 });
  const shared = other?.offer();
  if (port === undefined || shared === undefined) throw new Error("too few descriptors for the test");
  const held = await HeldSocket.hold(shared);
  let offered: boolean;
  {
    using _files = leaveOnly(spare);
    offered = port.offer() !== undefined;
    port.resume();
    held.descriptor();
  }
  const heldOn = held.descriptor() !== undefined;
  console.log(JSON.stringify({ spare, offered, accepts: await accepts(port), heldOn }));
}
Deno.exit(0);
