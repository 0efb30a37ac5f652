package prommetrics_test

import (
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/prommetrics"
	"github.com/litefs-s3/litefs-s3/writer"
)

// One collector tells of all replicas that are open in the process. A server hands the registry to promhttp.HandlerFor.
func Example() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prommetrics.New())

	db, err := litefss3.OpenDB(litefss3.Config{
		ReplicaURL: "s3://bucket/app", Store: new(memstore.Store), // the URL is the label
		Write: true, Durability: writer.Memory, Compaction: litefss3.CompactionOff,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	for _, sql := range []string{"CREATE TABLE posts(title)", "INSERT INTO posts VALUES ('hello')", "PRAGMA litestream_sync"} {
		if _, err := db.Exec(sql); err != nil {
			log.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, family := range families {
		switch family.GetName() {
		case "litefs_s3_writer_commits_total":
			m := family.GetMetric()[0]
			fmt.Println(m.GetLabel()[0].GetValue(), "has had", m.GetCounter().GetValue(), "commits")
		case "litefs_s3_writer_pending_commits":
			fmt.Println(family.GetMetric()[0].GetGauge().GetValue(), "of them are not in the bucket yet")
		}
	}
	// Output:
	// s3://bucket/app has had 2 commits
	// 0 of them are not in the bucket yet
}
