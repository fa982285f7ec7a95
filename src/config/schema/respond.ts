/** `respond`: an answer of a route that no backend gives. */
import * as z from "zod";
import { filePath, headerMap, text, whole } from "../fields.ts";
import { bareSetting } from "../setting.ts";

/** An answer that no backend gives. */
export interface Respond {
  readonly status: number;
  readonly body: string | null;
  readonly file: string | null;
  readonly contentType: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

const responseKeys = z.strictObject({
  status: bareSetting(whole(200, 599).optional(), "The status of the response. Default: 200."),
  body: bareSetting(z.string("text").optional(), "The text of the response."),
  file: bareSetting(filePath.optional(), "A file with the body of the response, read at the start and at a reload."),
  contentType: bareSetting(
    text(/^[!-~][\x20-~]*$/, "a media type such as text/html").optional(),
    "The `Content-Type`. Default: `text/plain`, or what the file's name says.",
  ),
  headers: bareSetting(headerMap.optional(), "Further headers, by name.", { secret: "by-name" }),
});

/** A status alone, or an object. */
export const respond = z.codec(
  z.union([whole(200, 599), responseKeys], `a status from 200 to 599, or an object with "status"`),
  z.custom<Respond>(),
  {
    decode(written, context): Respond {
      const given = typeof written === "number" ? { status: written } : written;
      const { status = 200, body = null, file = null, contentType = null, headers = {} } = given as ResponseKeys;
      if (body !== null && file !== null) {
        context.issues.push({ code: "custom", message: `either "body" or "file"`, input: written });
      } else if ((body !== null || file !== null) && (status === 204 || status === 205 || status === 304)) {
        context.issues.push({ code: "custom", message: `no body with status ${status}`, input: written });
      }
      return { status, body, file, contentType, headers };
    },
    encode: (answer) =>
      Object.fromEntries(Object.entries(answer).filter(([, value]) => value !== null)) as ResponseKeys,
  },
);

type ResponseKeys = z.output<typeof responseKeys>;
