/** What to try with `deno task dev`. */

/** What is running. */
export interface Running {
  /** Where the proxy and the admin API listen, as `HOST:PORT`. */
  readonly proxy: string;
  readonly admin: string;
  /** The ports of the sample backends, in order. */
  readonly ports: readonly number[];
  /** The process of the second backend. */
  readonly secondPid: number;
}

/** Longer commands have what they mean below them. */
const WIDEST = 60;

type Row = readonly [command: string, meaning: string];

/** Lines with commands and what they do. */
export function hints(running: Running, withRoutes: boolean): string {
  const rows = withRoutes ? routeRows(running) : poolRows(running);
  const width = Math.max(...rows.map(([command]) => command.length > WIDEST ? 0 : command.length));
  const lines = rows.map(([command, meaning]) => {
    return command.length > width ? `  ${command}\n      # ${meaning}` : `  ${command.padEnd(width)}  # ${meaning}`;
  });
  return ["", "Try:", ...lines, "Ctrl-C stops everything.", ""].join("\n");
}

function poolRows({ proxy, admin, ports, secondPid }: Running): Row[] {
  const [, second = 0] = ports;
  const free = Math.max(...ports) + 1;
  return [
    [`curl ${proxy}`, "a request through the proxy; repeat it: each backend in turn"],
    [`curl ${admin}/status`, "the pool"],
    [`http://${admin}`, "the dashboard, for a browser"],
    [`deno run -P main.ts top --admin ${admin}`, "the same in another terminal; q ends it"],
    [`curl -X POST localhost:${second}/fail`, "backend two fails its health check; /recover: it passes again"],
    [`kill ${secondPid}`, "stops backend two for good"],
    [`deno run -A scripts/backend.ts --port ${free} --name four`, "starts another one (in another terminal)"],
    [`curl ${admin}/backends --json '{"url":"http://127.0.0.1:${free}"}'`, "adds it to the pool"],
    [`curl -X DELETE '${admin}/backends?url=http://127.0.0.1:${free}'`, "takes it out again"],
  ];
}

function routeRows({ proxy, admin, ports }: Running): Row[] {
  const canary = ports.at(-1) ?? 0;
  return [
    [`curl ${proxy}/`, "the pool default: one, two and three in turn"],
    [`curl ${proxy}/api/users`, "the pool api: four and five; one client in ten: the canary, six"],
    [`curl -H 'X-Beta: 1' ${proxy}/api/users`, "always the canary"],
    [`curl -i ${proxy}/old/page`, "a redirect"],
    [`curl ${proxy}/robots.txt`, "an answer of the proxy itself"],
    [
      `curl -X PATCH ${admin}/routes --json '{"route":"*/api/*","entry":1,"pool":{"api":50,"api-v2":50}}'`,
      "half of the clients to the canary",
    ],
    [`curl '${admin}/explain?url=http://localhost/api/users'`, "why a request goes where it goes"],
    [`curl ${admin}/routes`, "the routes in match order, with what they have done"],
    [`curl -X POST localhost:${canary}/fail`, "the canary fails its health check; /recover: it passes again"],
    [`http://${admin}`, "the dashboard, for a browser"],
    [`deno run -P main.ts top --admin ${admin}`, "the same in another terminal; q ends it"],
    [
      "deno run -P main.ts routes --config scripts/dev/routes.json",
      "the routes in the order in which they are matched",
    ],
  ];
}
