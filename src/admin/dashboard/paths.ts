/** The paths of the dashboard's files. The files themselves are loaded when the first of them is asked for. */

/** As the browser asks for them. */
export const PATHS = [
  "/",
  "/dashboard/icon.svg",
  "/dashboard/base.css",
  "/dashboard/page.css",
  "/dashboard/tables.css",
  "/dashboard/panels.css",
  "/dashboard/narrow.css",
  "/dashboard/uplot.css",
  "/dashboard/uplot.js",
  "/dashboard/api.js",
  "/dashboard/app.js",
  "/dashboard/backend_table.js",
  "/dashboard/chart.js",
  "/dashboard/cluster_panel.js",
  "/dashboard/dialogs.js",
  "/dashboard/dom.js",
  "/dashboard/event_list.js",
  "/dashboard/event_parser.js",
  "/dashboard/explain_form.js",
  "/dashboard/format.js",
  "/dashboard/history.js",
  "/dashboard/live.js",
  "/dashboard/operations.js",
  "/dashboard/overview.js",
  "/dashboard/pool_row.js",
  "/dashboard/pools.js",
  "/dashboard/route_table.js",
  "/dashboard/traffic_feed.js",
  "/dashboard/troubles.js",
  "/dashboard/verdict.js",
] as const;

/** One of them. */
export type DashboardPath = (typeof PATHS)[number];
