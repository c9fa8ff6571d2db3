# HDFS: the name node and the data node of Hadoop, from Maven Central. They need Java 17 and Maven.
hadoop=3.4.1
hdfs_home="$bin/../hdfs"
if [ ! -x "$bin/hdfs-testbed" ] || [ "$(cat "$hdfs_home/installed" 2>/dev/null)" != "$hadoop" ]; then
	{ command -v mvn >/dev/null && command -v java >/dev/null; } || apt_packages openjdk-17-jre-headless maven
	echo "testbed: installing Hadoop $hadoop"
	rm -rf "$hdfs_home" && mkdir -p "$hdfs_home/conf/webapps/hdfs" "$hdfs_home/conf/webapps/datanode" "$hdfs_home/conf/webapps/static"
	cat >"$hdfs_home/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>testbed</groupId><artifactId>hdfs</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-common</artifactId><version>$hadoop</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-hdfs</artifactId><version>$hadoop</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-hdfs-client</artifactId><version>$hadoop</version></dependency>
    <!-- what jackson-databind of this release needs, and the nearest dependency hides -->
    <dependency><groupId>com.fasterxml.jackson.core</groupId><artifactId>jackson-core</artifactId><version>2.12.7</version></dependency>
  </dependencies>
</project>
POM
	cat >"$hdfs_home/conf/log4j.properties" <<'LOG'
log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%p %c{1}: %m%n
LOG
	if mvn -q -B -f "$hdfs_home/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory="$(cd "$hdfs_home" && pwd)/lib" -DincludeScope=runtime >"$bin/../hdfs.log" 2>&1; then
		# The first argument is a folder with the configuration. Both nodes end with the script's group of processes.
		cat >"$bin/hdfs-testbed" <<RUN
#!/bin/sh
home="$(cd "$hdfs_home" && pwd)"
node() { main=\$1; shift; exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dhadoop.home.dir="\$dir" -Dhadoop.log.dir="\$dir" --add-opens=java.base/java.lang=ALL-UNNAMED -cp "\$dir:\$home/conf:\$home/lib/*" "\$main" "\$@"; }
dir=\$1
(node org.apache.hadoop.hdfs.server.namenode.NameNode -format -force -nonInteractive) || exit 1
(node org.apache.hadoop.hdfs.server.namenode.NameNode) &
node org.apache.hadoop.hdfs.server.datanode.DataNode
RUN
		chmod +x "$bin/hdfs-testbed"
		echo "$hadoop" >"$hdfs_home/installed"
	else
		echo "testbed: Hadoop could not be installed, see $bin/../hdfs.log"
	fi
fi
