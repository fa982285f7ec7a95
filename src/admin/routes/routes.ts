/** The routes that show the routes of the configuration, and move the weights of their splits. */

import * as z from "zod";
import type { SplitChange } from "../../config/backend_change.ts";
import { type DeepReadonly, whole } from "../../config/fields.ts";
import { inMatchOrder, leadsTo } from "../../config/routes/match_order.ts";
import { SplitMismatchError, UnknownEntryError } from "../../config/routes/moved_split.ts";
import type { Config } from "../../config/schema.ts";
import { GUARD_NAMES, type GuardName, messageOf } from "../../errors.ts";
import type { GuardOverrides } from "../../guards/guards.ts";
import type { Log } from "../../log.ts";
import type { Memory } from "../../memory/memory.ts";
import { OTHER_ROUTES, type RouteFigures } from "../../memory/route_counts.ts";
import type { SlotUse } from "../../memory/slots.ts";
import { identify } from "../../routing/routes.ts";
import { AdminError } from "../admin_error.ts";
import { routeAnswer } from "../answers.ts";
import { jsonAnswer } from "../description.ts";
import { readFields } from "../fields.ts";
import type { AdminContext, Route } from "../guard.ts";
import { answerJson } from "../view.ts";
import { answered } from "./change_errors.ts";

/** What these routes show and change. */
export interface RoutesTarget {
  /** As of the last reload, and of the last split that was moved. */
  readonly configInForce: () => Config;
  /** Has the counts. */
  readonly memory: Memory;
  readonly log: Log;
  /** Puts other weights of a split in force. Resolves with the weights before and after. */
  readonly moveSplit: (change: Omit<SplitChange, "kind">) => Promise<MovedSplit>;
}

/** The weights of a split before and after a change. */
export interface MovedSplit {
  readonly before: Readonly<Record<string, number>>;
  readonly after: Readonly<Record<string, number>>;
}

/** One entry of a route, in `GET /routes`. */
export type RouteView = DeepReadonly<z.output<typeof routeAnswer>>;

const splitChange = z.strictObject({
  route: z.string("the key of a route"),
  entry: whole(0, Number.MAX_SAFE_INTEGER),
  pool: z.record(z.string(), whole(0, 1000)).refine((sides) => Object.keys(sides).length > 0, "at least one pool"),
}).meta({ title: "SplitChange" });

const movedAnswer = routeAnswer.extend({ pool: z.record(z.string(), z.number()) }).meta({ title: "MovedSplit" });

/** `/routes`. */
export function routeRoutes(target: RoutesTarget): readonly Route[] {
  return [{
    path: "/routes",
    methods: {
      GET: {
        about: {
          summary: "The entries of all routes in the order in which they are matched",
          answers: [jsonAnswer(z.array(routeAnswer).meta({ title: "Routes" }), "The entries")],
        },
        answer: () => answerJson(routesView(target)),
      },
      PATCH: {
        about: {
          summary: "Moves the weights of a split",
          body: splitChange,
          answers: [jsonAnswer(movedAnswer, "The entry, with the weights of all sides")],
          refusals: [400, 404, 500],
        },
        answer: (context) => moveSplit(context, target),
      },
    },
  }];
}

/** All entries in the order in which they are matched. */
export function routesView({ configInForce, memory }: Pick<RoutesTarget, "configInForce" | "memory">): RouteView[] {
  const config = configInForce();
  const { routes } = config;
  return routes === null ? [] : listOf(config, routes, memory).map(({ entry, place, guards }) => {
    if (place === OTHER_ROUTES) return { ...entry, ...figuresView(undefined) };
    const view = { ...entry, ...figuresView(memory.routes.figures(place)) };
    if (guards.length === 0) return view;
    return { ...view, refused: Object.fromEntries(guards.map((name) => [name, memory.routes.refused(place, name)])) };
  });
}

/** What of an entry does not change with requests. */
interface ListedEntry {
  readonly entry: Omit<RouteView, keyof FiguresView>;
  readonly place: SlotUse;
  /** Those that its requests have to pass. */
  readonly guards: readonly GuardName[];
}

type RoutesInForce = NonNullable<Config["routes"]>;

/** Made once for each configuration: with thousands of routes, this takes a tenth of a second. */
const lists = new WeakMap<RoutesInForce, readonly ListedEntry[]>();

function listOf(config: Config, routes: RoutesInForce, memory: Memory): readonly ListedEntry[] {
  const known = lists.get(routes);
  if (known !== undefined) return known;
  const listed = inMatchOrder(routes).flatMap(([key, entries]) =>
    identify(key, entries).map(({ label, entry, name }, index) => {
      const written = entries[index];
      const to = written === undefined ? "" : leadsTo(written);
      return { entry: { route: key, entry, name, label, to }, guards: guardsFor(written, config) };
    })
  );
  const places = memory.routes.find(listed.map(({ entry: { label } }) => label));
  const list = listed.map((one, index) => ({ ...one, place: places[index] ?? OTHER_ROUTES }));
  lists.set(routes, list);
  return list;
}

function guardsFor(entry: GuardOverrides | undefined, config: Config): GuardName[] {
  return GUARD_NAMES.filter((name) => (entry?.[name] === undefined ? config[name] : entry[name]) !== null);
}

type FiguresView = Pick<RouteView, "requests" | "failed" | "responses" | "latencyMs">;

function figuresView(figures: RouteFigures | undefined): FiguresView {
  if (figures === undefined) return { requests: null, failed: null, responses: null, latencyMs: null };
  const { byClass, failed, recent } = figures;
  const [, ok = 0, moved = 0, refused = 0, broken = 0] = byClass;
  const responses = { "2xx": ok, "3xx": moved, "4xx": refused, "5xx": broken };
  return { requests: byClass.reduce((sum, count) => sum + count, 0), failed, responses, latencyMs: recent };
}

async function moveSplit(context: AdminContext, target: RoutesTarget): Promise<Response> {
  const { route, entry, pool: weights } = readFields(splitChange, context.get("body"), "body");
  const { log } = target;
  const moved = await answered(target.moveSplit({ route, entry, weights }).catch(refuseSplit), log);
  const client = context.env.peer;
  log.info("admin change", { client, action: "split", route, entry, ...moved });
  const view = routesView(target).find((shown) => shown.route === route && shown.entry === entry);
  return answerJson({ ...view, pool: moved.after });
}

function refuseSplit(error: unknown): never {
  if (error instanceof UnknownEntryError) throw new AdminError(404, messageOf(error));
  if (error instanceof SplitMismatchError) throw new AdminError(400, messageOf(error));
  throw error;
}
