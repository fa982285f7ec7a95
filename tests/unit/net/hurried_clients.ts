/**
 * Process: clients that connect again and again, all at once. In a process of their own they go on while the server's
 * thread accepts others.
 *
 * Arguments: the port, the number of clients, the number of connections.
 */

const [port = 0, clients = 0, connections = 0] = Deno.args.map(Number);
let left = connections;

async function connectAgainAndAgain(): Promise<void> {
  const buffer = new Uint8Array(64);
  while (left-- > 0) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(buffer);
    while (await connection.read(buffer) !== null);
  }
}

await Promise.all(Array.from({ length: clients }, connectAgainAndAgain));
