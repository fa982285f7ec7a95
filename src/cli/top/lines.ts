/** Turns a status into the lines that `roundhouse top` shows on a terminal. Pure. */

import { countOf } from "../../admin/dashboard/format.js";
import { backendTable } from "./backends.ts";
import type { Line } from "./layout.ts";
import { routeTable } from "./routes.ts";
import { summary } from "./summary.ts";
import type { Size, View } from "./view.ts";

/** Least lines of routes, where there are as many, whatever the number of backends. */
const LEAST_ROUTES = 3;

/** What fits on a terminal, from the top. Last lines of the tables say how much had no room; it is nothing that fails. */
export function screen(view: View, { rows, columns }: Size): Line[] {
  const head = summary(view);
  const count = view.routes.length;
  const room = Math.max(1, rows - head.length - 2 - (count === 0 ? 0 : 2));
  const leastRoutes = Math.min(count, LEAST_ROUTES);
  const backends = backendTable(view, columns, room - leastRoutes);
  const forRoutes = Math.max(leastRoutes, room - backends.lines.length);
  const [routeTitles, ...routes] = count === 0 ? [] : routeTable(view.routes, columns, forRoutes);
  const tables = [
    backends.titles,
    ...fitting(backends.lines, room - Math.min(count, forRoutes), "more backend"),
    ...(routeTitles === undefined ? [] : [[], routeTitles, ...fitting(routes, forRoutes, "more route")]),
  ];
  return [...head, ...(view.lost === undefined ? tables : tables.map(faint))];
}

function fitting(lines: readonly Line[], room: number, what: string): readonly Line[] {
  if (lines.length <= room) return lines;
  const shown = lines.slice(0, Math.max(0, room - 1));
  return [...shown, [{ text: `… and ${countOf(lines.length - shown.length, what)}`, style: "faint" }]];
}

function faint(line: Line): Line {
  return line.map(({ text }) => ({ text, style: "faint" }));
}
