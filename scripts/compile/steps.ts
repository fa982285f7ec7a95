/** Says on standard error what is being done, because a build takes long enough to look dead. */

const EVERY_MS = 1000;

/**
 * Says that `what` is being done while `work` runs. On a terminal, the line counts the seconds, and says in the end how
 * many it took. Elsewhere it stands there once.
 */
export async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  if (!Deno.stderr.isTerminal()) {
    console.error(`${what}…`);
    return await work();
  }
  const from = performance.now();
  const show = (end: string) => {
    const line = `\r\x1b[K${what}… ${((performance.now() - from) / 1000).toFixed(0)} s${end}`;
    Deno.stderr.writeSync(new TextEncoder().encode(line));
  };
  show("");
  const timer = setInterval(() => show(""), EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    show("\n");
  }
}
