export { dlgValues, stripBaggage } from './baggage.ts';
export { factHeaders } from './fact-headers.ts';
export { isMeshHeader, stripMeshHeaders, stripRouteOverrides } from './mesh-headers.ts';
