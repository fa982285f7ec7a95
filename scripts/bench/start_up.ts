/** How long the built file takes from its start to `ready`, beside Caddy. */

interface Startable {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** What its log says when it listens. */
  readonly ready: RegExp;
}

const ROUNDS = 10;

/** Builds the file, starts both programs ten times in turn and returns the medians as a table. */
export async function measureStartUp(): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const binary = `${folder}/roundhouse`;
    const built = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL("../compile.ts", import.meta.url).pathname, "--self-contained", "-o", binary],
    }).output();
    if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
    await Deno.writeTextFile(
      `${folder}/Caddyfile`,
      "{\nadmin off\nauto_https off\n}\nhttp://127.0.0.1:0 {\nreverse_proxy 127.0.0.1:9001\n}\n",
    );
    return await measure(folder, [
      {
        name: `roundhouse, ${((await Deno.stat(binary)).size / 1e6).toFixed(1)} MB`,
        command: binary,
        args: ["-b", "http://127.0.0.1:9001", "--host", "127.0.0.1", "-p", "0", "--admin-port", "0"],
        ready: / ready /,
      },
      {
        name: "caddy",
        command: "caddy",
        args: ["run", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`],
        ready: /serving initial configuration/,
      },
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function measure(home: string, programs: readonly Startable[]): Promise<string> {
  const times = new Map<string, number[]>(programs.map(({ name }) => [name, []]));
  for (const program of programs) await startToReady(program, home); // the first start unpacks
  for (let round = 0; round < ROUNDS; round++) {
    for (const program of programs) times.get(program.name)?.push(await startToReady(program, home) ?? NaN);
  }
  return Array.from(times, ([name, all]) => {
    const [fastest = NaN, ...rest] = all.sort((a, b) => a - b);
    const median = rest[ROUNDS / 2 - 1] ?? NaN;
    return `${name.padEnd(24)} median ${median.toFixed(0)} ms, fastest ${fastest.toFixed(0)} ms`;
  }).join("\n");
}

/** Milliseconds; `undefined` when the program is not installed. */
async function startToReady({ command, args, ready }: Startable, home: string): Promise<number | undefined> {
  const begin = performance.now();
  let child: Deno.ChildProcess;
  try {
    const env = { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", HOME: home };
    child = new Deno.Command(command, { args: [...args], env, clearEnv: true, stdout: "null", stderr: "piped" })
      .spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  let text = "";
  let took: number | undefined;
  for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (took !== undefined || !ready.test(text)) continue;
    took = performance.now() - begin;
    child.kill("SIGTERM");
  }
  await child.status;
  if (took === undefined) throw new Error(`${command} never became ready: ${text}`);
  return took;
}
