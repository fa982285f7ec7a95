/** The code in the process of a `Helper`. */

/** The work that a helper has begun. */
export interface Work<Begun, Report> {
  readonly begun: Begun;
  /** Ends the work. Returns the report. */
  finish(): Promise<Report> | Report;
}

/** Does the work in the command line until standard input ends. Then ends the process. */
export async function help<Order, Begun, Report>(
  work: (order: Order) => Promise<Work<Begun, Report>> | Work<Begun, Report>,
): Promise<never> {
  // A late error of a socket, such as a connection that a peer broke off, must not end the process.
  self.addEventListener("unhandledrejection", (event) => event.preventDefault());
  const { begun, finish } = await work(JSON.parse(Deno.args[0] ?? "null"));
  console.log(JSON.stringify(begun));
  for await (const _ of Deno.stdin.readable);
  console.log(JSON.stringify(await finish()));
  Deno.exit(0);
}
