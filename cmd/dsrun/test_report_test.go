package main

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/starlib"
)

// What junit writes is XML whatever a test says, and says the same.
func TestJUnit(t *testing.T) {
	nasty := "a<b>&\"c\" \x1b[31m \x00 \xff ]]> é \U0001F600 \uffff\nsecond\tline\r"
	all := []testResult{
		{File: "a&b_test.star", Test: "test_a", Line: 3, Result: "pass", Seconds: 0.25},
		{File: "a&b_test.star", Test: "test_b", Line: 9, Result: "fail", Seconds: 1.5, Output: nasty,
			Error: &problem{Code: fault.Fail, Message: nasty, Frames: []starlib.Frame{{File: "a&b_test.star", Line: 10, Col: 5, Text: "    x < y"}}}},
		{File: "c_test.star", Test: "test_c", Line: 1, Result: "pass"},
	}
	type testcase struct {
		Name    string  `xml:"name,attr"`
		Time    float64 `xml:"time,attr"`
		Failure *struct {
			Message string `xml:"message,attr"`
			Type    string `xml:"type,attr"`
			Text    string `xml:",chardata"`
		} `xml:"failure"`
		Out string `xml:"system-out"`
	}
	var got struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Suites   []struct {
			Name  string     `xml:"name,attr"`
			Tests int        `xml:"tests,attr"`
			Cases []testcase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	text := junit(all, 2*time.Second)
	if err := xml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got.Tests != 3 || got.Failures != 1 || len(got.Suites) != 2 || got.Suites[0].Name != "a&b_test.star" || got.Suites[0].Tests != 2 || len(got.Suites[0].Cases) != 2 {
		t.Fatalf("%+v", got)
	}
	c := got.Suites[0].Cases[1]
	if c.Failure == nil || c.Failure.Type != "fail" || c.Time != 1.5 || !strings.HasPrefix(c.Failure.Message, `a<b>&"c" \x1b[31m \x00 \xff ]]> é`) ||
		!strings.Contains(c.Failure.Text, "second\tline") || !strings.Contains(c.Failure.Text, "x < y") || !strings.Contains(c.Out, `\x1b[31m`) {
		t.Errorf("%+v %q", c.Failure, c.Out)
	}
}

func TestBoundedBuffer(t *testing.T) {
	var b boundedBuffer
	for range 100 {
		if n, err := b.Write(make([]byte, 10_000)); n != 10_000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if s := b.String(); len(s) > maxTestOutput+100 || !strings.HasSuffix(s, "(what follows was not kept)\n") {
		t.Errorf("%d bytes", len(s))
	}
}
