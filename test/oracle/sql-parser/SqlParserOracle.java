import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.apache.calcite.sql.parser.SqlAbstractParserImpl;
import org.apache.calcite.sql.parser.SqlParseException;
import org.apache.calcite.sql.parser.SqlParser;
import org.apache.flink.sql.parser.impl.FlinkSqlParserImpl;
import org.apache.flink.sql.parser.validate.FlinkSqlConformance;
import org.apache.flink.table.planner.parse.ExtendedParser;
import org.apache.calcite.avatica.util.Casing;
import org.apache.calcite.config.Lex;

/**
 * Asks the SQL parser of a real Apache Flink what it accepts. Input: statements separated by NUL. Output, one line a statement: `ok`, or
 * `error LINE:COLUMN` (`error` alone without a position). `--keywords` prints the keywords instead: `reserved NAME` or `keyword NAME`.
 * A statement is asked of the parser of SET, RESET and the like first, as TableEnvironment does.
 */
public class SqlParserOracle {
  public static void main(String[] args) throws Exception {
    SqlParser.Config config =
        SqlParser.config()
            .withParserFactory(FlinkSqlParserImpl.FACTORY)
            .withConformance(FlinkSqlConformance.DEFAULT)
            .withLex(Lex.JAVA)
            .withIdentifierMaxLength(256);
    if (args[0].equals("--keywords")) {
      SqlAbstractParserImpl.Metadata metadata = SqlParser.create("", config).getMetadata();
      for (String token : new TreeSet<>(metadata.getTokens())) {
        if (metadata.isKeyword(token)) System.out.println((metadata.isReservedWord(token) ? "reserved " : "keyword ") + token);
      }
      return;
    }
    String input = Files.readString(Path.of(args[0]), StandardCharsets.UTF_8);
    StringBuilder out = new StringBuilder();
    for (String statement : input.split("\0", -1)) out.append(answer(statement, config)).append('\n');
    System.out.print(out);
  }

  private static String answer(String statement, SqlParser.Config config) {
    try {
      if (ExtendedParser.INSTANCE.parse(statement).isPresent()) return "ok";
    } catch (Throwable e) {
      return "error";
    }
    try {
      return SqlParser.create(statement, config).parseStmtList().size() == 1 ? "ok" : "error";
    } catch (SqlParseException e) {
      return e.getPos() == null ? "error" : "error " + e.getPos().getLineNum() + ":" + e.getPos().getColumnNum();
    } catch (Throwable e) {
      return "error";
    }
  }
}
