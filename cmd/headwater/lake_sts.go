package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"headwater/api/iceberg"
	"headwater/api/s3"
	"headwater/handlers/landing"
	"headwater/handlers/landing/tablekeys"
)

// openIssuer returns what gives callers of the catalog keys to tables of a lake in a
// bucket, nil if nobody does. It asks the STS once: if it refuses the role, that is an
// error of the settings. If it does not answer, or has no such call, the node starts,
// and answers are without keys until it does.
func openIssuer(ctx context.Context, cfg Config, lake *landing.Lake, log *slog.Logger) (s3.Issuer, error) {
	if !cfg.vends() {
		return nil, nil
	}
	keys := lake.TableKeys(tablekeys.Settings{Endpoint: cfg.LakeSTSEndpoint, Role: cfg.LakeSTSRole, Life: cfg.LakeSTSDuration})
	var refused *tablekeys.Refusal
	if err := keys.Check(ctx); errors.As(err, &refused) && refused.Role && cfg.LakeSTSRole != "" {
		return nil, fmt.Errorf("--lake-sts-role: %w: does the role exist, does it trust the service's own keys, and may its sessions last for --lake-sts-duration?", err)
	}
	return tableKeys{keys}, ctx.Err()
}

// tableKeys are the keys of a store's STS as the catalog asks for them. It implements
// s3.Issuer.
type tableKeys struct{ *tablekeys.Issuer }

func (i tableKeys) Issue(ctx context.Context, t iceberg.Table, c iceberg.Caller) (s3.Issued, error) {
	k, err := i.Keys(ctx, tablekeys.Table{Folder: t.Folder, Metadata: t.Location},
		tablekeys.Holder{Organization: c.Organization, Username: c.Username, TokenID: c.TokenID, Expires: c.Expires})
	return s3.Issued{Access: k.Access, Secret: k.Secret, Session: k.Session, Region: k.Region, Expires: k.Expires}, err
}
