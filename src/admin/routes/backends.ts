/** The routes that show and change the pool's backends. */

import * as z from "zod";
import { duration } from "../../config/fields.ts";
import { engineMismatches } from "../../config/engine_limits.ts";
import { backendFields, type BackendSpec, backendSpecSchema, type Config, configSchema } from "../../config/schema.ts";
import type { Problem } from "../../config/setting_path.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Backend } from "../../pool/backend.ts";
import { type BackendPatch, DuplicateBackendError, PoolFullError, type ServerPool } from "../../pool/server_pool.ts";
import { BACKEND_STATES } from "../../pool/shared_state.ts";
import { NO_FIELDS, readFields } from "../fields.ts";
import type { AdminContext, Route } from "../guard.ts";
import { AdminProblem, invalidFields } from "../problem.ts";
import { answerJson, type BackendSettings, backendSettings, backendView } from "../view.ts";

/** What these routes change. */
export interface BackendsTarget {
  readonly pool: ServerPool;
  readonly log: Log;
  readonly facts: () => { readonly engine: Config["engine"] };
  /**
   * Told what the pool is about to hold, before it does, for the configuration file where changes are to last. When it
   * rejects, the pool stays as it was.
   */
  readonly persist: (backends: readonly BackendSpec[]) => Promise<void>;
  /** Settles when all that forward go by what the pool holds: no answer before that. */
  readonly settled: () => Promise<void>;
}

/** The reason that pool events of this origin carry. */
const REASON = "admin API";

const newBackend = backendSpecSchema.omit({ tls: true });

const changes = z.strictObject({
  weight: backendFields.weight.exactOptional(),
  maxConnections: backendFields.maxConnections.exactOptional(),
  backup: backendFields.backup.exactOptional(),
  state: z.enum(BACKEND_STATES).exactOptional(),
});

const names = z.strictObject({ url: backendFields.url.exactOptional(), id: z.string().exactOptional() });
const namesAndChanges = names.extend(changes.shape);
const drainable = z.object({ drain: duration(0).exactOptional() });

/** How often a removal that drains looks whether the last request has ended. */
const DRAIN_LOOK_MS = 10;

/** A backend by its URL in its one spelling, or by its id. */
interface Name {
  readonly url?: string | undefined;
  readonly id?: string | undefined;
}

/** `/backends` and `/backends/{id}`. */
export function backendRoutes(target: BackendsTarget): readonly Route[] {
  const { pool } = target;
  const inTurn = oneAtATime();
  return [
    {
      path: "/backends",
      methods: {
        GET: { answer: () => answerJson(pool.backends.map(backendView)) },
        POST: { answer: (context) => inTurn(() => add(context, target)) },
        PATCH: {
          answer: (context) =>
            inTurn(() => {
              const { url, id, ...patch } = readFields(namesAndChanges, context.get("body"), "body");
              return change(context, target, find(pool, [{ url, id }]), patch);
            }),
        },
        DELETE: {
          query: ["url", "id", "drain"],
          answer: (context) => remove(context, target, named(context, pool), inTurn),
        },
      },
    },
    {
      path: "/backends/:id",
      methods: {
        GET: { answer: (context) => answerJson(backendView(byPath(context, pool))) },
        PATCH: {
          answer: (context) =>
            inTurn(() => {
              const patch = readFields(changes, context.get("body"), "body");
              return change(context, target, byPath(context, pool), patch);
            }),
        },
        DELETE: {
          query: ["drain"],
          answer: (context) => {
            readFields(NO_FIELDS, context.get("body") ?? {}, "body");
            return remove(context, target, byPath(context, pool), inTurn);
          },
        },
      },
    },
  ];
}

/** Runs changes one after the other, so that what is written to the file is what the pool then holds. */
type InTurn = <T>(change: () => Promise<T>) => Promise<T>;

function oneAtATime(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (change) => {
    const result = last.then(change);
    last = result.catch(() => {}); // whoever asked for it is told
    return result;
  };
}

/** 500 when the configuration file can't be written; the pool is as it was then. */
async function save({ persist, log }: BackendsTarget, backends: readonly BackendSpec[]): Promise<void> {
  try {
    await persist(backends);
  } catch (error) {
    log.error("configuration not written", { reason: messageOf(error) });
    throw new AdminProblem(500, "the configuration file could not be written; nothing has changed");
  }
}

async function add(context: AdminContext, target: BackendsTarget): Promise<Response> {
  const { pool } = target;
  const spec = backendSpecSchema.parse(readFields(newBackend, context.get("body"), "body"));
  refuseUnsupported(spec, target);
  if (pool.getByUrl(spec.url) !== undefined) throw new AdminProblem(409, `${spec.url} is in the pool already`);
  await save(target, [...pool.backends.map((backend) => backend.spec), spec]);
  const backend = addToPool(pool, spec);
  await target.settled();
  audit(context, target, { action: "add", backend: backend.url, before: null, after: backendSettings(backend) });
  return answerJson(backendView(backend), { status: 201, headers: { location: `/backends/${backend.id}` } });
}

function addToPool(pool: ServerPool, spec: BackendSpec): Backend {
  try {
    return pool.add(spec, REASON, true);
  } catch (error) {
    const conflicts = error instanceof DuplicateBackendError || error instanceof PoolFullError;
    throw conflicts ? new AdminProblem(409, error.message) : error;
  }
}

async function change(
  context: AdminContext,
  target: BackendsTarget,
  backend: Backend,
  patch: BackendPatch,
): Promise<Response> {
  refuseUnsupported({ url: backend.url, ...patch }, target);
  const before = backendSettings(backend);
  const { state: _, ...settings } = patch; // the operator's state is not the file's affair
  if (Object.keys(settings).length > 0) {
    await save(
      target,
      target.pool.backends.map((other) => other === backend ? { ...other.spec, ...settings } : other.spec),
    );
    mustBeInPool(backend); // a reload may have removed it meanwhile, and another may have its slot
  }
  if (target.pool.update(backend, patch, REASON)) {
    audit(context, target, { action: "change", backend: backend.url, before, after: backendSettings(backend) });
  }
  return answerJson(backendView(backend));
}

/** The backend that a removal names in its body or its query. */
function named(context: AdminContext, pool: ServerPool): Backend {
  const { drain: _, ...query } = context.get("query");
  return find(pool, [readFields(names, query, "query"), readFields(names, context.get("body") ?? {}, "body")]);
}

/** Drains outside the turn: others need not wait for that. */
async function remove(
  context: AdminContext,
  target: BackendsTarget,
  backend: Backend,
  inTurn: InTurn,
): Promise<Response> {
  const { pool } = target;
  const { drain: drainMs } = readFields(drainable, context.get("query"), "query");
  const before = backendSettings(backend);
  if (drainMs !== undefined) await drain(pool, backend, drainMs);
  return await inTurn(async () => {
    try {
      mustBeInPool(backend);
      await save(target, pool.backends.filter((other) => other !== backend).map((other) => other.spec));
      mustBeInPool(backend);
    } catch (error) {
      const isOurs = drainMs !== undefined && before.state === "active" && backend.state === "draining";
      if (isOurs && backend.inPool) pool.update(backend, { state: "active" }, REASON);
      throw error;
    }
    // As it was: another backend may have its slot in shared memory soon.
    const view = backendView(backend);
    pool.remove(backend, REASON);
    await target.settled();
    audit(context, target, { action: "remove", backend: backend.url, before, after: null });
    return answerJson(view);
  });
}

/**
 * Gives an active backend no new traffic (a disabled one gets even less), and waits for its last request to end or for
 * somebody else to remove it.
 */
async function drain(pool: ServerPool, backend: Backend, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  if (backend.state === "active") pool.update(backend, { state: "draining" }, REASON);
  while (backend.currentConnections > 0 && performance.now() < deadline && pool.backends.includes(backend)) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
  }
}

/** The backend that a request names in its body or its query. 400 unless exactly one name is given; 404 without it. */
function find(pool: ServerPool, given: readonly Name[]): Backend {
  const urls = given.flatMap(({ url }) => url === undefined ? [] : [url]);
  const ids = given.flatMap(({ id }) => id === undefined ? [] : [id]);
  const count = urls.length + ids.length;
  if (count !== 1) {
    throw new AdminProblem(400, `url, id: got ${count === 0 ? "neither" : "more than one"}, want exactly one of them`);
  }
  const [url] = urls;
  const [id] = ids;
  const backend = url !== undefined ? pool.getByUrl(url) : id !== undefined ? pool.get(id) : undefined;
  if (backend === undefined) throw noSuchBackend();
  return backend;
}

/** 404 once the backend is no longer there: what its slot in shared memory holds may be another's. */
function mustBeInPool(backend: Backend): void {
  if (!backend.inPool) throw noSuchBackend();
}

function noSuchBackend(): AdminProblem {
  return new AdminProblem(404, "the pool has no such backend");
}

function byPath(context: AdminContext, pool: ServerPool): Backend {
  return find(pool, [{ id: context.req.param("id") }]);
}

/** 400 for what the configuration file could not ask for either: the same rules, on a configuration of one backend. */
function refuseUnsupported(backend: BackendPatch & { readonly url: string }, { facts }: BackendsTarget): void {
  const { state: _, ...spec } = backend;
  const config = configSchema.parse({ engine: facts().engine, backends: [spec] });
  const problems = engineMismatches(config).flatMap(({ path, text }): Problem[] =>
    path[0] === "backends" ? [{ path: path.slice(2), text }] : []
  );
  if (problems.length > 0) throw invalidFields(problems, "url");
}

interface AdminChange {
  readonly action: "add" | "change" | "remove";
  readonly backend: string;
  readonly before: BackendSettings | null;
  readonly after: BackendSettings | null;
}

/** One line for each change that an operator made, beside what the pool's own events log. */
function audit(context: AdminContext, { log }: BackendsTarget, change: AdminChange): void {
  log.info("admin change", { client: context.env.remoteAddr.hostname, ...change });
}
