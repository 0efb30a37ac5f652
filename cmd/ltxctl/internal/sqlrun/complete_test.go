package sqlrun

import "testing"

func TestComplete(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]bool{
		"":                                 true,
		"  \n-- only a comment\n":          true,
		"/* only a comment */":             true,
		";":                                true,
		"select 1":                         false,
		"select 1;":                        true,
		"select 1; -- done":                true,
		"select 1 -- done;":                false,
		"select 1 /* ; */":                 false,
		"select 1 /* open ;":               false,
		"select 1; /* open":                false,
		"select ';'":                       false,
		"select ';":                        false,
		"select 'it''s;':":                 false,
		"select 'it''s;';":                 true,
		`select ";`:                        false,
		`select ";" from "a;b";`:           true,
		"select `;`;":                      true,
		"select [;":                        false,
		"select [;];":                      true,
		"select 1; select 2":               false,
		"explain select 1;":                true,
		"create table t(x);":               true,
		"create view trigger as select 1;": true,
		"create temp trigger a after insert on t begin select 1;":                                       false,
		"create trigger a after insert on t begin select 1; end;":                                       true,
		"CREATE TEMPORARY TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END;":      true,
		"explain create trigger a after insert on t begin select 1; select 2;":                          false,
		"create trigger a after insert on t begin select 1; /* x */ end ; ":                             true,
		"select 1 as \"end\"; create /*c*/ temp /*d*/ trigger a after insert on t begin select 'end;';": false,
	} {
		if got := Complete(sql); got != want {
			t.Errorf("%q: got %v", sql, got)
		}
	}
}

func FuzzComplete(f *testing.F) {
	f.Add("create trigger a begin select ';'; end;")
	f.Fuzz(func(t *testing.T, sql string) { Complete(sql) })
}
