package klamm.payments;

import org.apache.kafka.clients.admin.NewTopic;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.config.TopicBuilder;

/** The application; {@link Checks} drives it and says what holds. */
@SpringBootApplication
public class PaymentApplication {
  @Bean
  NewTopic payments() {
    return TopicBuilder.name(PaymentPublisher.TOPIC).partitions(3).build();
  }

  /** Starts the application; `run` tells the groups of one run from those of another. */
  static ConfigurableApplicationContext start(String run) {
    return new SpringApplication(PaymentApplication.class).run("--run=" + run);
  }

  public static void main(String[] arguments) throws Exception {
    boolean passed = new Checks().run();
    System.out.flush();
    Runtime.getRuntime().halt(passed ? 0 : 1);
  }
}
