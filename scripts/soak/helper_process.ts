/** The inside of a `Helper`. */

/** What a helper has begun. */
export interface Work<Begun, Report> {
  readonly begun: Begun;
  /** Ends the work; returns what there is to say of it. */
  finish(): Promise<Report> | Report;
}

/** Does the work that the command line orders, until standard input ends; then ends the process. */
export async function help<Order, Begun, Report>(
  work: (order: Order) => Promise<Work<Begun, Report>> | Work<Begun, Report>,
): Promise<never> {
  // What a peer breaks off is no news here: a socket's late error must not end the process.
  self.addEventListener("unhandledrejection", (event) => event.preventDefault());
  const { begun, finish } = await work(JSON.parse(Deno.args[0] ?? "null"));
  console.log(JSON.stringify(begun));
  for await (const _ of Deno.stdin.readable);
  console.log(JSON.stringify(await finish()));
  Deno.exit(0);
}
