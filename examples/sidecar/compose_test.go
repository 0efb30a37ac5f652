package main

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// compose is what is looked at of a compose file.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Command     any
		Environment map[string]string
		Volumes     []string
		Depends     map[string]struct{ Condition string } `yaml:"depends_on"`
	}
	Volumes map[string]any
}

func readCompose(t *testing.T, path string) (c compose) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// The compose file starts what the test starts: the same commands, images of the same versions, and variables that are read.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := readCompose(t, "docker-compose.yml")
	main := readCompose(t, "../../docker-compose.yml")
	for name, like := range map[string]string{"minio": "minio", "bucket": "bucket", "litestream": "litestream"} {
		if got, want := c.Services[name].Image, main.Services[like].Image; got != want || got == "" {
			t.Errorf("image of %s: %q, and in the compose file of the project %q", name, got, want)
		}
	}
	for name, command := range map[string][]string{"writer": {"write"}, "reader": {"read"}, "litestream": {"replicate"}} {
		var words []string
		list, _ := c.Services[name].Command.([]any)
		for _, word := range list {
			words = append(words, word.(string))
		}
		if !slices.Equal(words, command) {
			t.Errorf("command of %s: %q, the test runs %q", name, words, command)
		}
	}
	source := readAll(t, "main.go", "litestream.yml")
	for name, reads := range map[string][]string{
		"writer": {"DB_PATH"}, "litestream": {"DB_PATH", "LITESTREAM_REPLICA_URL"}, "reader": {"LITESTREAM_REPLICA_URL", "ADDR"},
	} {
		for _, variable := range reads {
			if c.Services[name].Environment[variable] == "" || !strings.Contains(source, variable) {
				t.Errorf("%s reads %s: it is not set, or nobody reads it", name, variable)
			}
		}
	}
	for name, service := range c.Services {
		for dependency := range service.Depends {
			if _, ok := c.Services[dependency]; !ok {
				t.Errorf("%s depends on %s, which there is not", name, dependency)
			}
		}
		for _, volume := range service.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, ok := c.Volumes[from]; !ok && !exists(from) {
				t.Errorf("%s mounts %s, which there is not", name, from)
			}
		}
		if b := service.Build; b.Context != "" && !exists(filepath.Join(b.Context, b.Dockerfile)) {
			t.Errorf("%s is built by %s in %s, which there is not", name, b.Dockerfile, b.Context)
		}
	}
}

// The container file builds what the test builds.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	if !strings.Contains(readAll(t, "Containerfile"), "go build -trimpath -buildvcs=false -o /sidecar ./sidecar") {
		t.Error("the container file does not build ./sidecar")
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(t.TempDir(), "sidecar"), "./sidecar")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func readAll(t *testing.T, paths ...string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// written is how many events the writer's database has.
func written(t *testing.T) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+os.Getenv("DB_PATH"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM events").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
