/** The routes that show and change the backends of a pool. */

import * as z from "zod";
import { duration } from "../../config/fields.ts";
import { engineMismatches } from "../../config/engine_limits.ts";
import { backendFields, backendSpecSchema, configSchema } from "../../config/schema.ts";
import type { Diagnostic } from "../../config/diagnostics.ts";
import type { BackendSettings } from "../../pool/backend.ts";
import type { FindBackend } from "../../pool/membership.ts";
import type { BackendPatch } from "../../pool/server_pool.ts";
import { BACKEND_STATES } from "../../config/backend_change.ts";
import { backendAnswer, deploymentAnswer } from "../answers.ts";
import { type Description, jsonAnswer } from "../description.ts";
import { NO_FIELDS, readFields } from "../fields.ts";
import type { AdminContext, Route } from "../guard.ts";
import { AdminError, invalidFields } from "../admin_error.ts";
import { type AdminPool, type AdminPools, poolNamed } from "../admin_pool.ts";
import { answerJson, backendView } from "../view.ts";
import { answered, noSuchBackend } from "./change_errors.ts";
import { forWhom, optionsOf } from "./for_whom.ts";
import { deploy, deployment, type DeployTarget } from "./deploy.ts";

/** What these routes change. */
export interface BackendsTarget extends DeployTarget {
  readonly pools: AdminPools;
}

/** The routes of one place in the path. */
interface PoolTarget extends DeployTarget {
  /** The pool that a request is about. */
  readonly poolOf: (context: AdminContext) => AdminPool;
}

/** The reason that pool events of this origin carry. */
const REASON = "admin API";

const newBackend = backendSpecSchema.omit({ tls: true }).meta({ title: "NewBackend" });

const changes = z.strictObject({
  weight: backendFields.weight.exactOptional(),
  maxConnections: backendFields.maxConnections.exactOptional(),
  backup: backendFields.backup.exactOptional(),
  state: z.enum(BACKEND_STATES).exactOptional(),
}).meta({ title: "BackendChanges" });

const names = z.strictObject({ url: backendFields.url.exactOptional(), id: z.string().exactOptional() })
  .meta({ title: "BackendName" });
const namesAndChanges = names.extend(changes.shape).meta({ title: "NamedBackendChanges" });
const drainable = forWhom.extend({
  drain: duration(0).exactOptional().describe("How long it drains before it is removed"),
});

const present = jsonAnswer(backendAnswer, "The backend");
const removed = jsonAnswer(backendAnswer, "The backend as it was before it was removed");

const ABOUT = {
  list: {
    summary: "All backends of the pool",
    answers: [jsonAnswer(z.array(backendAnswer).meta({ title: "Backends" }), "The backends")],
  },
  add: {
    summary: "Adds a backend; traffic reaches it at once",
    body: newBackend,
    answers: [jsonAnswer(backendAnswer, "The new backend; `Location` has its path", 201)],
    refusals: [400, 409, 500, 503],
  },
  deploy: {
    summary: "A deployment: a whole new list, once every new backend has passed a check",
    body: deployment,
    answers: [jsonAnswer(deploymentAnswer, "What has been done, when those that left are removed")],
    refusals: [400, 409, 500, 503, 504],
  },
  changeNamed: {
    summary: "Changes the backend that `url` or `id` names, all or nothing",
    body: namesAndChanges,
    answers: [present],
    refusals: [400, 404, 409, 500, 503],
  },
  removeNamed: {
    summary: "Removes the backend that `url` or `id` names, in the query or the body",
    body: names,
    bodyIsOptional: true,
    answers: [removed],
    refusals: [400, 404, 409, 500, 503],
  },
  show: { summary: "One backend", answers: [present], refusals: [404] },
  change: {
    summary: "Changes a backend, all or nothing",
    body: changes,
    answers: [present],
    refusals: [400, 404, 409, 500, 503],
  },
  remove: { summary: "Removes a backend", answers: [removed], refusals: [400, 404, 409, 500, 503] },
} as const satisfies Readonly<Record<string, Description>>;

/** Names a backend by its normalised URL or by its id. */
interface Name {
  readonly url?: string | undefined;
  readonly id?: string | undefined;
}

/** `/backends` and `/backends/{id}` of the default pool, and the same below `/pools/{pool}`. */
export function backendRoutes(target: BackendsTarget): readonly Route[] {
  const { pools } = target;
  const named = (context: AdminContext) => poolNamed(pools, context.req.param("pool") ?? "");
  return [
    ...routesBelow("", { ...target, poolOf: () => pools.default }),
    ...routesBelow("/pools/:pool", { ...target, poolOf: named }).map((route) => ({ ...route, find: named })),
  ];
}

function routesBelow(prefix: string, target: PoolTarget): readonly Route[] {
  return [
    { path: `${prefix}/backends`, methods: listMethods(target) },
    { path: `${prefix}/backends/:id`, methods: itemMethods(target) },
  ];
}

function listMethods(target: PoolTarget): Route["methods"] {
  const { poolOf } = target;
  return {
    GET: { about: ABOUT.list, answer: (context) => answerJson(poolOf(context).pool.backends.map(backendView)) },
    POST: { about: ABOUT.add, query: forWhom, answer: (context) => add(context, target) },
    PUT: { about: ABOUT.deploy, query: forWhom, answer: (context) => deploy(context, target, poolOf(context)) },
    PATCH: {
      about: ABOUT.changeNamed,
      query: forWhom,
      answer: (context) => {
        const { url, id, ...patch } = readFields(namesAndChanges, context.get("body"), "body");
        return change(context, target, finderOf([{ url, id }]), patch);
      },
    },
    DELETE: {
      about: ABOUT.removeNamed,
      query: names.extend(drainable.shape),
      answer: (context) => {
        const { drain: _drain, local: _local, ...query } = context.get("query");
        const named = [readNames(query, "query"), readNames(context.get("body") ?? {}, "body")];
        return remove(context, target, finderOf(named));
      },
    },
  };
}

function itemMethods(target: PoolTarget): Route["methods"] {
  const { poolOf } = target;
  return {
    GET: {
      about: ABOUT.show,
      answer: (context) => answerJson(backendView(finderByPath(context)(poolOf(context).pool))),
    },
    PATCH: {
      about: ABOUT.change,
      query: forWhom,
      answer: (context) => {
        const patch = readFields(changes, context.get("body"), "body");
        return change(context, target, finderByPath(context), patch);
      },
    },
    DELETE: {
      about: ABOUT.remove,
      query: drainable,
      answer: (context) => {
        readFields(NO_FIELDS, context.get("body") ?? {}, "body");
        return remove(context, target, finderByPath(context));
      },
    },
  };
}

async function add(context: AdminContext, target: PoolTarget): Promise<Response> {
  const { name, membership } = target.poolOf(context);
  const spec = backendSpecSchema.parse(readFields(newBackend, context.get("body"), "body"));
  refuseUnsupported(spec, target);
  const backend = await answered(membership.add(spec, REASON, optionsOf(context)), target.log);
  audit(context, target, { action: "add", pool: name, backend: backend.url, before: null, after: backend.settings });
  return answerJson(backendView(backend), { status: 201, headers: { location: `${context.req.path}/${backend.id}` } });
}

async function change(
  context: AdminContext,
  target: PoolTarget,
  find: FindBackend,
  patch: BackendPatch,
): Promise<Response> {
  const { name, membership } = target.poolOf(context);
  const supported: FindBackend = (pool) => {
    const backend = find(pool);
    refuseUnsupported({ url: backend.url, ...patch }, target);
    return backend;
  };
  const changed = membership.change(supported, patch, REASON, optionsOf(context));
  const { backend, before, after } = await answered(changed, target.log);
  if (after !== null) audit(context, target, { action: "change", pool: name, backend: backend.url, before, after });
  return answerJson(backendView(backend));
}

async function remove(context: AdminContext, target: PoolTarget, find: FindBackend): Promise<Response> {
  const { drain: drainMs } = readFields(drainable, context.get("query"), "query");
  const { name, membership } = target.poolOf(context);
  const { before, description: view } = await answered(
    membership.remove(find, { drainMs, reason: REASON, describe: backendView, ...optionsOf(context) }),
    target.log,
  );
  audit(context, target, { action: "remove", pool: name, backend: view.url, before, after: null });
  return answerJson(view);
}

/** Finds the backend that a request names. 400 unless exactly one name is given. The finder throws 404. */
function finderOf(given: readonly Name[]): FindBackend {
  const urls = given.flatMap(({ url }) => url === undefined ? [] : [url]);
  const ids = given.flatMap(({ id }) => id === undefined ? [] : [id]);
  const count = urls.length + ids.length;
  if (count !== 1) {
    throw new AdminError(400, `url, id: got ${count === 0 ? "neither" : "more than one"}, want exactly one of them`);
  }
  const [url] = urls;
  const [id = ""] = ids;
  return (pool) => {
    const backend = url === undefined ? pool.get(id) : pool.getByUrl(url);
    if (backend === undefined) throw noSuchBackend();
    return backend;
  };
}

function readNames(value: unknown, whole: "body" | "query"): Name {
  return readFields(names, value, whole);
}

function finderByPath(context: AdminContext): FindBackend {
  return finderOf([{ id: context.req.param("id") }]);
}

/** 400 for what the configuration file could not contain either. Checks a configuration of one backend by its rules. */
function refuseUnsupported(backend: BackendPatch & { readonly url: string }, { facts }: DeployTarget): void {
  const { state: _, ...spec } = backend;
  const config = configSchema.parse({ engine: facts().engine, backends: [spec] });
  const diagnostics = engineMismatches(config).flatMap(({ path, text }): Diagnostic[] =>
    path[0] === "backends" ? [{ path: path.slice(2), text }] : []
  );
  if (diagnostics.length > 0) throw invalidFields(diagnostics, "url");
}

interface AdminChange {
  readonly action: "add" | "change" | "remove";
  readonly pool: string;
  readonly backend: string;
  readonly before: BackendSettings | null;
  readonly after: BackendSettings | null;
}

/** Logs a change by an operator as one line, in addition to the events of the pool. */
function audit(context: AdminContext, { log }: DeployTarget, change: AdminChange): void {
  log.info("admin change", { client: context.env.peer, ...change });
}
