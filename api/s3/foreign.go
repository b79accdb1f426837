package s3

import (
	"context"
	"errors"
	"strconv"
	"time"

	"headwater/api/iceberg"
)

// Settings of a table in a bucket that say which keys come with it.
const (
	configCredentials = "headwater.credentials"        // none, or vended
	configReason      = "headwater.credentials-reason" // why there are none, if somebody was asked
)

// Issued are keys of a bucket's store that open one table.
type Issued struct {
	Access, Secret, Session string
	Region                  string // of the bucket
	Expires                 time.Time
}

// Issuer has a bucket's store give out keys.
type Issuer interface {
	// Issue returns keys that open a table and nothing else. The result of the error's
	// method Told() string, if it has one, is shown to the caller.
	Issue(ctx context.Context, t iceberg.Table, c iceberg.Caller) (Issued, error)
}

// Foreign is the Access of a lake in a bucket. The service's own keys open the whole
// bucket and are not given out.
type Foreign struct {
	Settings map[string]string // options of the lake's URL
	Issuer   Issuer            // nil if readers have keys of their own
}

// View returns the settings of the bucket, and keys if the caller accepts them and
// the store gives any; if it gives none, why. It implements iceberg.Access.
func (f Foreign) View(ctx context.Context, ask iceberg.Ask) (iceberg.View, error) {
	v := iceberg.View{Table: ask.Table, Config: f.config()}
	if f.Issuer == nil || !ask.Delegated {
		return v, nil
	}
	keys, err := f.Issuer.Issue(ctx, ask.Table, ask.Caller)
	if err != nil {
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		v.Warning = "the store gave no keys to the table"
		if told, ok := errors.AsType[interface {
			error
			Told() string
		}](err); ok {
			v.Warning = told.Told()
		}
		v.Config[configReason] = v.Warning
		return v, nil
	}
	for name, value := range map[string]string{
		configCredentials: "vended", "s3.region": keys.Region, "client.region": keys.Region,
		"s3.access-key-id": keys.Access, "s3.secret-access-key": keys.Secret, "s3.session-token": keys.Session,
		"s3.session-token-expires-at-ms": strconv.FormatInt(keys.Expires.UnixMilli(), 10),
	} {
		v.Config[name] = value
	}
	if at := v.Config["s3.endpoint"]; at != "" {
		v.Config["s3.endpoint"] = forClient(ask.Request, at)
	}
	v.Expires = keys.Expires
	return v, nil
}

// config returns what a reader must know of the bucket, without keys.
func (f Foreign) config() map[string]string {
	config := map[string]string{configCredentials: "none"}
	region := f.Settings["region"]
	if f.Settings["endpoint"] != "" {
		config["s3.endpoint"] = f.Settings["endpoint"]
		config["s3.path-style-access"] = strconv.FormatBool(f.Settings["use_path_style"] != "false")
		if region == "" {
			region = Region
		}
	}
	if region != "" {
		config["s3.region"], config["client.region"] = region, region
	}
	return config
}
