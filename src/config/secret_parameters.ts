/** Hides the values of query parameters whose names look like those of secrets. */

/** Stands in place of a secret. */
export const HIDDEN = "***";

/** A name that a secret may have. */
export const SECRET_NAME = /auth|cookie|token|secret|passw|credential|signature|session|key/i;

/** A URL, or a path with a query, without the values of such parameters. */
export function withoutSecretParameters(target: string): string {
  const start = target.indexOf("?") + 1;
  if (start === 0) return target;
  const query = target.slice(start).replace(/([^&=]+)=[^&]*/g, (parameter, name) => {
    return SECRET_NAME.test(name) ? `${name}=${HIDDEN}` : parameter;
  });
  return target.slice(0, start) + query;
}
