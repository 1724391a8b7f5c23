/** Where the routes of a service or of an exit come from, as `mesh.yaml` says it. */
import type { SnapshotRoute } from '../snapshot/snapshot.ts';

export type RouteSource =
  | { readonly kind: 'openapi' | 'proto'; readonly file: string }
  | { readonly kind: 'routes'; readonly routes: readonly SnapshotRoute[] };
