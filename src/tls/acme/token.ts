/** The tokens of challenges. */

/** What RFC 8555 §8.3 allows: 128 bits or more, in base64url. Anything else would not be found under its path. */
export const TOKEN = /^[A-Za-z0-9_-]{22,256}$/;
