/** The dashboard: one page on `GET /status` and the event stream. This module joins the parts. */

import { Api } from "./api.js";
import { BackendTable } from "./backend_table.js";
import { TrafficChart } from "./chart.js";
import { showCluster } from "./cluster_panel.js";
import { AddDialog, ConfirmDialog, TokenDialog, WeightDialog } from "./dialogs.js";
import { byId, setData, setText, show } from "./dom.js";
import { EventList } from "./event_list.js";
import { startExplainForm } from "./explain_form.js";
import { History } from "./history.js";
import { Live } from "./live.js";
import { showFailed, showOverview } from "./overview.js";
import { Operations } from "./operations.js";
import { DEFAULT_POOL, poolsOf } from "./pools.js";
import { RouteTable } from "./route_table.js";
import { TrafficFeed } from "./traffic_feed.js";

/** @import { Status } from "./status.d.ts" */
/** @import { ServerEvent } from "./event_parser.js" */
/** @import { Action } from "./backend_table.js" */
/** @import { Filter } from "./traffic_feed.js" */

/** The routes are asked for every other second, and so is the cluster. */
const ROUTES_EVERY = 2;

/** @type {Readonly<Record<string, string>>} What events say that are about no backend. */
const NOTES = {
  "discovery-failed": "The source of the backends fails",
  "discovery-recovered": "The source of the backends is back",
  "certificate-changed": "Clients get another certificate",
  "certificate-expires": "A certificate ends soon",
  "certificate-failed": "A certificate could not be renewed",
  "cluster-lost": "The store of the replicas is away",
  "cluster-recovered": "The store of the replicas is back",
};

const api = new Api({ onDenied: askForToken });
const history = new History();
const chart = new TrafficChart();
const events = new EventList();
const tokenDialog = new TokenDialog();
const operations = new Operations(api, {
  confirm: new ConfirmDialog(),
  weight: new WeightDialog(),
  add: new AddDialog(),
  changed: refresh,
  failedLater: (text, reason) => events.addNote(text, reason),
});
const feed = new TrafficFeed(
  (path) => api.call(path),
  (seconds, filter, total) => {
    chart.update(seconds, filter, serverNow() / 1000);
    showFailed(total);
  },
);
const table = new BackendTable({
  onAction(/** @type {Action} */ action, id) {
    if (status !== undefined) operations.ask(action, id, status);
  },
  onPool(action, pool) {
    if (action === "add") operations.askToAdd(pool);
    else choose({ kind: "pool", name: pool });
  },
});
const routeTable = new RouteTable((label) => choose({ kind: "route", name: label }));
const live = new Live({
  open: (lastEventId, signal) => api.openEvents(lastEventId, signal),
  onEvent: receive,
  onLost: lost,
});

/** @type {Status | undefined} The latest. */
let status;
/** @type {readonly import("./status.d.ts").RouteStatus[]} */
let routes = [];
/** How many statuses may come before the routes are asked for again; infinite: there are none. */
let routesIn = 0;
/** @type {import("./status.d.ts").ClusterStatus | null} */
let cluster = null;
/** Whether the next status is to be followed by a question for the cluster. */
let asksForCluster = true;
/** How far the clock of the server is ahead, in milliseconds. */
let clockAhead = 0;
/** @type {"connecting" | "live" | "lost"} */
let connection = "connecting";

byId("add-backend").addEventListener("click", () => operations.askToAdd(DEFAULT_POOL));
byId("chart-all").addEventListener("click", () => choose(undefined));
byId("forget-token").addEventListener("click", () => {
  api.useToken(null);
  location.reload();
});
startExplainForm((path) => api.call(path));
addEventListener("online", () => live.hurry());
document.addEventListener("visibilitychange", () => document.hidden || live.hurry());
live.start();

/** @param {ServerEvent} event */
function receive({ type, data }) {
  const value = JSON.parse(data);
  if (type === "stats") {
    found();
    clockAhead = Date.parse(value.startedAt) + value.uptimeSeconds * 1000 - Date.now();
    history.add(value);
    render(value);
    refreshTraffic();
  } else if (type === "reload") {
    events.addReload(value, serverNow());
    operations.forgetConfiguration();
    routesIn = 0;
  } else if (NOTES[type] !== undefined) {
    const text = value.error ?? value.names?.join(", ") ?? value.source ?? "";
    events.addNote(NOTES[type], value.pool === undefined ? text : `pool ${value.pool}: ${text}`);
  } else if (type.startsWith("backend-")) {
    events.addBackendEvent(type, value, serverNow());
  }
}

function serverNow() {
  return Date.now() + clockAhead;
}

/** @param {Status} latest */
function render(latest) {
  status = latest;
  const now = serverNow();
  const traffic = history.traffic();
  showOverview(latest, history, now);
  table.update(poolsOf(latest), traffic, nameOf("pool"), now);
  routeTable.update(routes, nameOf("route"), now / 1000);
  if (latest.cluster === null) cluster = null;
  showCluster(cluster, now);
}

/**
 * The name of what the chart shows, if it is of this kind.
 *
 * @param {Filter["kind"]} kind
 */
function nameOf(kind) {
  return feed.filter?.kind === kind ? feed.filter.name : undefined;
}

/**
 * Shows the traffic of a pool or a route, or all of it if it is shown already.
 *
 * @param {Filter | undefined} filter
 */
function choose(filter) {
  const isShown = filter !== undefined && nameOf(filter.kind) === filter.name;
  const done = feed.choose(isShown ? undefined : filter);
  if (status !== undefined) render(status);
  return done;
}

/** Asks for what the statuses do not contain, as long as somebody looks. */
function refreshTraffic() {
  if (document.hidden) return;
  feed.refresh();
  refreshCluster();
  if (--routesIn > 0) return;
  routesIn = ROUTES_EVERY;
  api.call("routes").then((latest) => {
    routes = latest;
    if (routes.length === 0) routesIn = Infinity; // until a reload
  }, () => {}); // the page says that the connection is lost
}

/** Asks for the replicas every other second, if there are any. */
function refreshCluster() {
  asksForCluster = !asksForCluster;
  if (asksForCluster || status === undefined || status.cluster === null) return;
  api.call("cluster").then((latest) => {
    cluster = latest;
    showCluster(cluster, serverNow());
  }, () => {}); // the page says that the connection is lost
}

/** Refreshes after a change by this page, without waiting for the next second. */
async function refresh() {
  render(await api.call("status"));
}

/** The stream runs. */
function found() {
  if (connection === "live") return;
  if (connection === "lost") events.addNote("Connected again", "figures are current again");
  connection = "live";
  showConnection("Live");
  show(byId("forget-token"), api.hasToken);
}

/** @param {string} reason */
function lost(reason) {
  routesIn = 0; // another configuration may be in force when it is back
  if (connection !== "lost") events.addNote("Connection lost", reason);
  connection = "lost";
  showConnection("Not connected, trying again…");
}

/** @param {string} text */
function showConnection(text) {
  const element = byId("connection");
  setText(element, text);
  setData(element, "state", connection);
  setData(document.body, "connection", connection);
}

function askForToken() {
  live.stop();
  const error = api.hasToken ? "This token is wrong." : "";
  api.useToken(null);
  connection = "connecting";
  showConnection("Waiting for the token");
  tokenDialog.open(error, (token) => {
    api.useToken(token);
    showConnection("Connecting…");
    live.start();
  });
}
