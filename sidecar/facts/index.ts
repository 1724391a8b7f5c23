export { dlgValues, stripBaggage } from './baggage.ts';
export { factHeaders } from './fact-headers.ts';
export { isMeshHeader, isProxyFact, isSpelledLike, stripMeshHeaders, stripRouteOverrides } from './mesh-headers.ts';
export { newTraceParent, traceParentOf, withTraceParent } from './trace-parent.ts';
