/** Asks the routes what a request comes to. */

import { bodyTooLarge, noRoute, refused, unexpected } from "../failures.ts";
import type { ProxyError } from "../errors.ts";
import type { RoutedRequest } from "../routing/condition.ts";
import { AMBIGUOUS } from "../routing/route_table.ts";
import type { Route, Routes } from "../routing/routes.ts";
import type { OwnAnswer } from "./exchange.ts";
import type { ForwardingRules } from "./rules.ts";
import type { Story } from "./story.ts";

/**
 * Finds what a request comes to: the pool, the answer, the rules and what the backend gets. Returns why it is refused;
 * `undefined`: it is not.
 *
 * @param authority well-formed
 */
export function chooseRoute(story: Story, authority: string): ProxyError | undefined {
  const { routes } = story.parts;
  if (routes === undefined) {
    story.applyRules();
    return undefined;
  }
  return takeRoute(story, authority, routes);
}

/** Why the body of a request is not read; `undefined`: it is, or its length is not known yet. */
export function bodyRefusal({ request: { bodyBytes }, rules: { limits: { maxBodyBytes } } }: Story) {
  return bodyBytes !== undefined && bodyBytes > maxBodyBytes ? bodyTooLarge(maxBodyBytes) : undefined;
}

function takeRoute(story: Story, authority: string, routes: Routes<ForwardingRules>): ProxyError | undefined {
  const view = new RoutedView(story);
  const route = routes.find(authority, view);
  if (route === undefined) return noRoute();
  if (route === AMBIGUOUS) return refused("bad_request", "The path can be read as one of another route.");
  story.route = route.identity;
  story.rules = route.rules;
  if (route.respond !== undefined) return takeAnswer(story, authority, route);
  story.pool = route.destination?.poolFor(view);
  const target = route.rewrite === undefined ? story.target : route.rewrite.apply(story.target);
  if (target === undefined) return refused("bad_request", "The path leaves the prefix of its route.");
  story.backendTarget = target;
  story.applyRules(route.rewrite?.stripped);
  return undefined;
}

function takeAnswer(story: Story, authority: string, { respond }: Route<ForwardingRules>): ProxyError | undefined {
  const { target, secure, forwarded: { requestId } } = story;
  const response = respond?.({ authority, target, secure });
  if (response === undefined) return unexpected("the file of a response could not be read");
  const headers: OwnAnswer["headers"] = [...response.headers, ["x-request-id", requestId]];
  story.ownAnswer = { ...response, headers };
  return undefined;
}

/** A request as routes see it: without what its client claims and nobody trusts. */
class RoutedView implements RoutedRequest {
  readonly #story: Story;
  readonly method: string;
  readonly target: string;

  constructor(story: Story) {
    this.#story = story;
    this.method = story.request.method;
    this.target = story.target;
  }

  get client(): string {
    return this.#story.client;
  }

  get secure(): boolean {
    return this.#story.secure;
  }

  header(name: string): string | undefined {
    return this.#story.believed(name);
  }
}
