// Package prommetrics tells Prometheus how the replicas that are open in a process are doing.
//
//	prometheus.MustRegister(prommetrics.New())
//	http.Handle("/metrics", promhttp.Handler())
//
// Each replica is one set of series with the label replica, its URL without anything secret:
//
//	litefs_s3_lag_seconds{replica="s3://bucket/app"} 0.4
//	litefs_s3_requests_total{replica="s3://bucket/app",kind="get",outcome="ok"} 1207
//
// Three numbers say how far a follower is behind, and they differ. litefs_s3_lag_seconds is the time since the last poll that went well: it
// grows when the store cannot be reached, or the follower is stuck. litefs_s3_data_age_seconds is the age of the newest transaction: it grows
// too when nobody writes. litefs_s3_behind_transactions is what is known to be in the bucket and cannot be read here yet.
//
// A scrape asks nothing of the store. Counters begin at zero when a replica is opened, and its series end when its last connection is closed;
// rate and increase cope with that. Of two replicas that are open with the same URL but other settings, the second one has #2 at the end
// of its label.
//
// docs/monitoring.md lists all metrics; beside it are a dashboard for Grafana and alert rules. Programs that do not import this package do
// not link the Prometheus client.
package prommetrics
