/** The OpenAPI 3.1 description of the admin API, made from the route table and from the schemas that read requests. */

import * as z from "zod";
import { REASON_PHRASES } from "../net/reason_phrases.ts";
import { problemAnswer } from "./answers.ts";
import type { Answer, Description } from "./description.ts";
import type { Operation, Route } from "./guard.ts";

/** What the description is made from. */
export interface OpenApiSource {
  /** The version of roundhouse. */
  readonly version: string;
  /** Whether a token is set. */
  readonly hasToken: boolean;
  readonly routes: () => readonly Route[];
}

type Json = Readonly<Record<string, unknown>>;

/** The object of `GET /openapi.json`, in outline. */
export const openApiAnswer = z.looseObject({
  openapi: z.literal("3.1.0"),
  info: z.looseObject({ title: z.string(), version: z.string() }),
  paths: z.record(z.string(), z.looseObject({})),
}).meta({ title: "OpenApi" });

const PATH_PARAMETERS: Readonly<Record<string, string>> = {
  id: "The id of a backend",
  pool: "The name of a pool",
};

/** The whole document. */
export function openApiOf({ version, hasToken, routes }: OpenApiSource): z.output<typeof openApiAnswer> {
  const schemas = new NamedSchemas();
  const problem = { "application/problem+json": { schema: schemas.refer(problemAnswer, "Problem") } };
  const paths = Object.fromEntries(
    routes().map((route) => {
      const methods = Object.entries(route.methods).map(([method, operation]) => {
        const described = describeOperation(operationId(method, route.path), operation, route, schemas);
        return [method.toLowerCase(), { ...described, ...hasToken && route.needsNoToken === true && { security: [] } }];
      });
      const parameters = parametersOf(route.path);
      return [documentPath(route.path), { ...parameters.length > 0 && { parameters }, ...Object.fromEntries(methods) }];
    }),
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "roundhouse admin API",
      version,
      license: { name: "MIT", identifier: "MIT" },
      description: "Shows and changes a running roundhouse. Where there is GET, there is HEAD too.",
    },
    // Relative to the address of this document, so that it holds below a path of another proxy too.
    servers: [{ url: "./" }],
    ...hasToken && { security: [{ token: [] }] },
    paths,
    components: {
      schemas: schemas.all(),
      responses: {
        Problem: { description: "A refusal. `detail` says what was received and wanted", content: problem },
      },
      ...hasToken && { securitySchemes: { token: { type: "http", scheme: "bearer", description: "`admin.token`" } } },
    },
  };
}

/** The path of a route in the words of OpenAPI: `/backends/{id}`. */
export function documentPath(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}");
}

function describeOperation(id: string, { about, query }: Operation, route: Route, schemas: NamedSchemas): Json {
  const { summary, body, bodyIsOptional = false } = about;
  const parameters = query === undefined ? [] : queryParameters(query);
  return {
    operationId: id,
    summary,
    ...parameters.length > 0 && { parameters },
    ...body !== undefined && {
      requestBody: {
        required: !bodyIsOptional,
        content: { "application/json": { schema: schemas.refer(body, `${id}Body`) } },
      },
    },
    responses: responsesOf(id, about, route, schemas),
  };
}

function responsesOf(
  id: string,
  { answers, refusals = [] }: Description,
  { find }: Route,
  schemas: NamedSchemas,
): Json {
  const statuses = new Set([...refusals, ...find === undefined ? [] : [404] as const]);
  return {
    ...Object.fromEntries(answers.map((answer) => [answer.status, responseOf(id, answer, schemas)])),
    ...Object.fromEntries(
      [...statuses].sort().map((status) => [status, {
        description: REASON_PHRASES[status],
        $ref: "#/components/responses/Problem",
      }]),
    ),
    default: { $ref: "#/components/responses/Problem" },
  };
}

function responseOf(id: string, { summary, contentType, schema }: Answer, schemas: NamedSchemas): Json {
  if (contentType === null) return { description: summary };
  const media = schema === undefined
    ? { schema: { type: "string" } }
    : { schema: schemas.refer(schema, `${id}Answer`) };
  return { description: summary, content: { [contentType]: media } };
}

/** `getPoolsPoolBackends` for `GET /pools/:pool/backends`. Generators of clients make names of functions from it. */
function operationId(method: string, path: string): string {
  const words = path === "/" ? ["page"] : path.match(/[A-Za-z0-9]+/g) ?? [];
  return method.toLowerCase() + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("");
}

function parametersOf(path: string): readonly Json[] {
  return Array.from(path.matchAll(/:(\w+)/g), ([, name = ""]) => {
    return { name, in: "path", required: true, description: PATH_PARAMETERS[name], schema: { type: "string" } };
  });
}

function queryParameters({ shape }: z.ZodObject): readonly Json[] {
  return Object.entries(shape).map(([name, field]) => {
    const { $schema: _, description, ...schema } = z.toJSONSchema(z.object({ [name]: field }), { io: "input" })
      .properties?.[name] as Json;
    return { name, in: "query", ...description !== undefined && { description }, schema };
  });
}

/** The schemas under `components`. Each has its title as its name; one that is used twice stands there once. */
class NamedSchemas {
  readonly #registry = z.registry<{ id: string }>();
  readonly #names = new Map<z.ZodType, string>();

  /** A reference to the schema. `fallback` names one that has no title. */
  refer(schema: z.ZodType, fallback: string): Json {
    let name = this.#names.get(schema);
    if (name === undefined) {
      name = schema.meta()?.title ?? fallback;
      if ([...this.#names.values()].includes(name)) throw new Error(`two schemas of the admin API are called ${name}`);
      this.#names.set(schema, name);
      this.#registry.add(schema, { id: name });
    }
    return { $ref: referenceTo(name) };
  }

  /** All that were referred to, as JSON Schema. */
  all(): Json {
    const { schemas } = z.toJSONSchema(this.#registry, { io: "input", uri: referenceTo });
    return Object.fromEntries(
      Object.entries(schemas).map(([name, { $schema: _schema, $id: _id, ...schema }]) => [name, schema]),
    );
  }
}

function referenceTo(name: string): string {
  return `#/components/schemas/${name}`;
}
