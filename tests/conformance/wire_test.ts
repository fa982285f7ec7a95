// The conformance suite on the engine `wire`: every promise to the letter, but for compression.

import { testConformance } from "./suite.ts";

testConformance({
  name: "wire",
  deviations: {
    asksForIdentity: false,
    rewritesTargets: false,
    joinsRepeatedHeaders: false,
    sortsHeaders: false,
    addsRequestHeaders: false,
    upperCasesMethods: false,
    refusesGetWithBody: false,
    continuesUnasked: false,
    dropsInformational: false,
    dropsTrailers: false,
    refusesHighStatuses: false,
    answers204For205: false,
    refusesManyHeaders: false,
    overlooksBrokenBodies: false,
    cutsBehindUploads: false,
    knowsNoIdle: false,
    doubtsConnectTimeouts: false,
    toleratesBareLf: false,
    hasForeignParser: false,
    compresses: false,
    bridgesWebSocketsOnly: false,
    dropsRefusalBodies: false,
  },
});
