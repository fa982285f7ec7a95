/** The dashboard's files, as text in the program itself: there is nothing beside a built one. */

// The library comes as a script that defines a global; as a module it exports that.
import uplotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import api from "./api.js" with { type: "text" };
import app from "./app.js" with { type: "text" };
import baseStyle from "./base.css" with { type: "text" };
import backendTable from "./backend_table.js" with { type: "text" };
import chart from "./chart.js" with { type: "text" };
import clusterPanel from "./cluster_panel.js" with { type: "text" };
import dialogs from "./dialogs.js" with { type: "text" };
import dom from "./dom.js" with { type: "text" };
import eventList from "./event_list.js" with { type: "text" };
import eventParser from "./event_parser.js" with { type: "text" };
import explainForm from "./explain_form.js" with { type: "text" };
import format from "./format.js" with { type: "text" };
import history from "./history.js" with { type: "text" };
import icon from "./icon.svg" with { type: "text" };
import page from "./index.html" with { type: "text" };
import live from "./live.js" with { type: "text" };
import narrowStyle from "./narrow.css" with { type: "text" };
import operations from "./operations.js" with { type: "text" };
import overview from "./overview.js" with { type: "text" };
import pageStyle from "./page.css" with { type: "text" };
import panelStyle from "./panels.css" with { type: "text" };
import poolRow from "./pool_row.js" with { type: "text" };
import pools from "./pools.js" with { type: "text" };
import tableStyle from "./tables.css" with { type: "text" };
import routeTable from "./route_table.js" with { type: "text" };
import trafficFeed from "./traffic_feed.js" with { type: "text" };
import troubles from "./troubles.js" with { type: "text" };
import verdict from "./verdict.js" with { type: "text" };
import type { DashboardPath } from "./paths.ts";

/** By the path that the browser asks for. */
export const FILES: Readonly<Record<DashboardPath, string>> = {
  "/": page,
  "/dashboard/icon.svg": icon,
  "/dashboard/base.css": baseStyle,
  "/dashboard/page.css": pageStyle,
  "/dashboard/tables.css": tableStyle,
  "/dashboard/panels.css": panelStyle,
  "/dashboard/narrow.css": narrowStyle,
  "/dashboard/uplot.css": uplotStyle,
  "/dashboard/uplot.js": `${uplotScript}\nexport default uPlot;\n`,
  "/dashboard/api.js": api,
  "/dashboard/app.js": app,
  "/dashboard/backend_table.js": backendTable,
  "/dashboard/chart.js": chart,
  "/dashboard/cluster_panel.js": clusterPanel,
  "/dashboard/dialogs.js": dialogs,
  "/dashboard/dom.js": dom,
  "/dashboard/event_list.js": eventList,
  "/dashboard/event_parser.js": eventParser,
  "/dashboard/explain_form.js": explainForm,
  "/dashboard/format.js": format,
  "/dashboard/history.js": history,
  "/dashboard/live.js": live,
  "/dashboard/operations.js": operations,
  "/dashboard/overview.js": overview,
  "/dashboard/pool_row.js": poolRow,
  "/dashboard/pools.js": pools,
  "/dashboard/route_table.js": routeTable,
  "/dashboard/traffic_feed.js": trafficFeed,
  "/dashboard/troubles.js": troubles,
  "/dashboard/verdict.js": verdict,
};
