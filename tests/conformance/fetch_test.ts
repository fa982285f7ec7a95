// The conformance suite on the engine `fetch`, with what that one may do otherwise.

import { testConformance } from "./suite.ts";

testConformance({
  name: "fetch",
  deviations: {
    asksForIdentity: true,
    rewritesTargets: true,
    joinsRepeatedHeaders: true,
    sortsHeaders: true,
    addsRequestHeaders: true,
    upperCasesMethods: true,
    refusesGetWithBody: true,
    continuesUnasked: true,
    dropsInformational: true,
    dropsTrailers: true,
    refusesHighStatuses: true,
    answers204For205: true,
    refusesManyHeaders: true,
    overlooksBrokenBodies: true,
    cutsBehindUploads: true,
    knowsNoIdle: true,
    doubtsConnectTimeouts: true,
    toleratesBareLf: true,
    hasForeignParser: true,
    compresses: true,
    bridgesWebSocketsOnly: true,
    dropsRefusalBodies: true,
  },
});
