/** The server of engine `fetch`: `Deno.serve`. */

import { messageOf } from "../../errors.ts";
import type { Engine, EngineOptions } from "../engine.ts";
import { LastingServer } from "../../net/lasting_server.ts";
import type { BoundAddress, ListenAddress } from "../../net/listen_address.ts";
import { peerAddress, UNIX_PEER } from "../../net/peer.ts";
import { Copies } from "../copies.ts";
import { listenAddressOf } from "../listen_address_of.ts";
import { Uploads } from "../uploads.ts";
import { BackendClients } from "./backend_clients.ts";
import { Deadlines } from "./deadline.ts";
import type { FetchContext } from "./context.ts";
import { FetchExchange } from "./fetch_exchange.ts";
import { CUT_ON_PURPOSE } from "./gather.ts";
import { LargeAnswers } from "./large_answers.ts";
import { type FetchRequestHead, readHead } from "./request_head.ts";
import { runtimePropagates, withRuntimeTrace } from "./runtime_trace.ts";
import { settleBody } from "./settle_body.ts";
import { UploadPace } from "./upload_pace.ts";
import { WebSocketExchange } from "./websocket.ts";

type Respond = (response: Response) => void;

/** Starts `Deno.serve`; see `EngineFactory`. */
export async function startFetchEngine(options: EngineOptions): Promise<Engine> {
  const pace = await UploadPace.start();
  try {
    return serve(options, pace, await listenAddressOf(options.config.proxy, options.reusePort));
  } catch (error) {
    pace[Symbol.dispose](); // the port may be taken
    throw error;
  }
}

function serve(
  { config, pools, forwarder, tls, log, acceptingChanged }: EngineOptions,
  pace: UploadPace,
  at: ListenAddress,
): Engine {
  const context: FetchContext = {
    clients: new BackendClients(pools),
    pace,
    deadlines: new Deadlines(),
    runtimeCompresses: config.proxy.compression,
    largeAnswers: new LargeAnswers(),
    bridges: new Set(),
    forwarder,
    uploads: new Uploads(),
    copies: new Copies(),
  };
  const serving = {
    ...tls?.certificates[0], // the configuration has no more than one
    automaticCompression: config.proxy.compression,
    // The runtime also calls this when a body breaks off. Without it, the runtime would print the error, not in the
    // log's format.
    onError(error: unknown) {
      if (error !== CUT_ON_PURPOSE) log.warn("response cut", { reason: messageOf(error) });
      return new Response(null, { status: 500 });
    },
  };
  const handle = handlerFor(context, tls !== undefined);
  return engineOf(new LastingServer({ at, serving, handle, log, acceptingChanged }), context);
}

/** @param secure whether the clients' connections are encrypted */
function handlerFor(context: FetchContext, secure: boolean): Deno.ServeHandler<BoundAddress> {
  const { forwarder } = context;
  const traced = runtimePropagates((name) => Deno.env.get(name));
  const handleOddBody = async (head: FetchRequestHead, req: Request, completed: Promise<void>, respond: Respond) => {
    context.uploads.begin();
    const settled = await settleBody(head, req, context.pace);
    context.uploads.end();
    await forwarder.handle(new FetchExchange(settled.head, settled.request, completed, context, respond));
  };
  return (request, info) => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const read = readHead(request, peerOf(info.remoteAddr), secure);
    const head = traced ? withRuntimeTrace(read) : read;
    const { completed } = info;
    void (head.wantsWebSocket
      ? forwarder.handle(new WebSocketExchange(head, request, completed, context, resolve))
      : (head.secure || head.bodyUnsaid) && head.bodyBytes !== 0 && !forwarder.stopping
      ? handleOddBody(head, request, completed, resolve)
      : forwarder.handle(new FetchExchange(head, request, completed, context, resolve)));
    return promise;
  };
}

function peerOf(remote: BoundAddress): string {
  return "hostname" in remote ? peerAddress(remote.hostname) : UNIX_PEER;
}

function engineOf(server: LastingServer, context: FetchContext): Engine {
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    // `shutdown()` would break request bodies that are still arriving (denoland/deno#36809). It does not break
    // downloads.
    await context.uploads.allEnded();
    await server.shutdown();
    await Promise.all(Array.from(context.bridges, (bridge) => bridge.ended));
    await context.copies.end();
    context.clients.close();
    context.pace[Symbol.dispose]();
    context.largeAnswers[Symbol.dispose]();
  };
  return {
    address: server.address,
    sharing: undefined, // `Deno.serve` opens its own socket, and tells nobody its descriptor
    configure() {}, // the limits are those of each request
    setTls: undefined, // a second `Deno.serve` at the port would lose connections while it takes over
    uploadsEnd: () => context.uploads.allEnded(),
    stop: () => stopped ??= stop(),
    async sayGoodbye() {
      for (const bridge of context.bridges) bridge.goAway();
      await Promise.all(Array.from(context.bridges, (bridge) => bridge.ended));
      const cut = await server.cut(); // fires the signal of every request in flight
      if (cut) await (stopped ??= stop());
    },
  };
}
