/** Trust bundles. Loads `node:crypto` only. */
export type { BundleKey, MeshBundleDocument, NamedJwk, PartKeys } from './mesh-bundle.ts';
export { MAX_BUNDLE_BYTES, type MeshBundle, parseMeshBundle, verifyMeshBundle } from './parse-mesh-bundle.ts';
