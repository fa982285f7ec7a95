/** The dashboard: one page on `GET /status` and the event stream. This module joins the parts. */

import { Api } from "./api.js";
import { BackendTable } from "./backend_table.js";
import { TrafficChart } from "./chart.js";
import { AddDialog, ConfirmDialog, TokenDialog, WeightDialog } from "./dialogs.js";
import { byId, setData, setText, show } from "./dom.js";
import { EventList } from "./event_list.js";
import { startExplainForm } from "./explain_form.js";
import { History } from "./history.js";
import { Live } from "./live.js";
import { showOverview } from "./overview.js";
import { Operations } from "./operations.js";

/** @import { Status } from "./status.d.ts" */
/** @import { ServerEvent } from "./event_parser.js" */
/** @import { Action } from "./backend_table.js" */

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
const table = new BackendTable((/** @type {Action} */ action, id) => {
  if (status !== undefined) operations.ask(action, id, status);
});
const live = new Live({
  open: (lastEventId, signal) => api.openEvents(lastEventId, signal),
  onEvent: receive,
  onLost: lost,
});

/** @type {Status | undefined} The latest. */
let status;
/** How far the clock of the server is ahead, in milliseconds. */
let clockAhead = 0;
/** @type {"connecting" | "live" | "lost"} */
let connection = "connecting";

byId("add-backend").addEventListener("click", () => operations.askToAdd());
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
  } else if (type === "reload") {
    events.addReload(value, serverNow());
    operations.forgetConfiguration();
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
  table.update(latest.backends, traffic, now);
  chart.update(history.rates, now / 1000);
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
  history.interrupt();
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
